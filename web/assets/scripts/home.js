// Home: the list of waiting requests keeps itself up to date while it is seen,
// and whoever is not told on this phone yet is offered it, once.

import { CallError, get } from './call.js';
import { seen, sleep, tellTimes } from './clock.js';
import { offerPush } from './offer.js';
import { installWorker, leaveWith } from './push.js';
import { element, say } from './status.js';

/** @typedef {{id: string, app: string, device: string, asked_at: string}} WaitingRequest */

const list = element('requests', HTMLElement);
const blank = element('blank', HTMLTemplateElement);

const pause = 3_000; // milliseconds between two looks
const longestPause = 30_000; // after looks that failed, each doubling the pause

/** @returns {HTMLElement[]} the lines that are shown */
const lines = () => [...list.querySelectorAll('li')];

/** @param {WaitingRequest[]} requests */
function show(requests) {
  const ids = new Set(requests.map((request) => request.id));
  const shown = new Set(lines().map((line) => line.dataset.requestId));
  for (const line of lines()) {
    if (!ids.has(line.dataset.requestId ?? '')) line.remove();
  }
  const added = requests.filter((request) => !shown.has(request.id));
  list.append(...added.map(newLine));
  element('waiting', HTMLElement).hidden = requests.length === 0;
  element('empty', HTMLElement).hidden = requests.length > 0;
  if (added.length > 0) say(added.length === 1 ? 'A new request is waiting.' : 'New requests are waiting.');
  else if (requests.length === 0) say('');
  tellTimes();
}

/**
 * @param {WaitingRequest} request
 * @returns {Node}
 */
function newLine(request) {
  const line = /** @type {DocumentFragment} */ (blank.content.cloneNode(true));
  /** @param {string} selector */
  const part = (selector) => /** @type {HTMLElement} */ (line.querySelector(selector));
  part('li').dataset.requestId = request.id;
  part('a').setAttribute('href', `/r/${encodeURIComponent(request.id)}`);
  part('[data-field="app"]').textContent = request.app;
  part('[data-field="device"]').textContent = request.device;
  part('time').setAttribute('datetime', request.asked_at);
  return line;
}

async function keepUpToDate() {
  for (let failures = 0; ; ) {
    await sleep(Math.min(pause * 2 ** failures, longestPause));
    await seen();
    try {
      const { requests } = await get('/phone/requests');
      if (failures > 0) say('');
      failures = 0;
      show(requests ?? []);
    } catch (error) {
      if (error instanceof CallError && error.status === 401) return location.reload();
      failures++;
      if (failures > 1) say('Connection hiccup, still looking for requests.', 'waiting');
    }
  }
}

leaveWith(element('signout', HTMLFormElement));
keepUpToDate();
installWorker().catch(() => {}); // a private window has none, and all but push works without
offerPush();
