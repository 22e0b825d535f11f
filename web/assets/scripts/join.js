// A device without a passkey: it shows what a phone scans or types, waits, and makes its
// own passkey once that was approved. What it waits for hangs on a cookie, so the page
// can be loaded anew. Whatever breaks on the way is still waiting: only nod's own words,
// and the time, end it; and then nothing happens until somebody comes.

import { CallError, leaveFor, post } from './call.js';
import { now, seen, sleep, tellTimes } from './clock.js';
import { keep } from './memory.js';
import { create, sayWhy, supported, unsupported } from './passkey.js';
import { element, once, say } from './status.js';

/**
 * @typedef {object} Awaited
 * @property {string} state
 * @property {number} version
 * @property {string} expires_at
 * @property {string} [approved_as]
 * @property {boolean} [opened_elsewhere]
 * @property {string} [code]
 * @property {string} [page]
 * @property {string} [url]
 * @property {string} [qr] a data: URL
 */

const make = element('make', HTMLButtonElement);
const again = element('again', HTMLButtonElement);
const left = element('left', HTMLElement);

const pause = 500; // milliseconds between two calls, each held by the server
const longestPause = 8_000; // after calls that failed, each doubling the pause
const grace = 60_000; // for which an approval is good after the time that is shown

const stillGood = 'Connection hiccup, still waiting. Your code is still good.';
const stillApproved = 'Connection hiccup. The approval is still good.';

/** @type {Record<string, string>} how it can end */
const ends = {
  denied: 'This was declined on the phone. Nothing was shared.',
  canceled: 'This was taken back. Nothing was shared.',
  expired: 'This code has run out. Nothing was shared.',
  lapsed: 'It was approved, but no passkey was made in time. Nothing was shared.',
  redeemed: 'The passkey was made in another window. Sign in with it.',
};

/** Rises with each thing that is waited for; whoever waits for another one stops. */
let turn = 0;

/** Whether the passkey is being made, which has words of its own. */
let making = false;

/** Goes on with what this browser waits for already, or asks; and then waits. */
async function start() {
  again.hidden = true;
  say('Asking for a code…', 'waiting');
  try {
    wait(await post('/phone/join', {}));
  } catch (error) {
    say(error instanceof CallError ? error.message : 'That did not work.', 'bad');
    offer();
  }
}

/**
 * Waits to the end of it, or until the page waits for something else.
 *
 * @param {Awaited} awaited what is known of it
 */
async function wait(awaited) {
  const mine = ++turn;
  show(awaited);
  for (let failures = 0; ; ) {
    await sleep(Math.min(pause * 2 ** failures, longestPause));
    if (mine !== turn) return;
    try {
      const news = await post('/phone/join/wait', { since: failures > 0 ? 0 : awaited.version });
      if (mine !== turn) return;
      if (failures > 0 || news.version !== awaited.version || news.url !== awaited.url) show(news);
      if (news.state in ends) return;
      failures = 0;
      awaited = news;
    } catch (error) {
      if (mine !== turn) return;
      if (isOver(error, awaited)) return end('expired');
      failures++;
      if (!making) say(awaited.state === 'approved' ? stillApproved : stillGood, 'waiting');
    }
  }
}

/**
 * Whether a call that failed is the end of it: nod knows it no more, or could not be
 * asked before its time was over.
 *
 * @param {unknown} error
 * @param {Awaited} awaited
 */
function isOver(error, { state, expires_at: until }) {
  if (error instanceof CallError && error.status === 404) return true;
  return now() >= Date.parse(until) + (state === 'approved' ? grace : 0);
}

/** @param {Awaited} awaited */
function show(awaited) {
  if (awaited.state in ends) return end(awaited.state);
  const approved = awaited.state === 'approved';
  element('ask', HTMLElement).hidden = approved;
  draw(awaited);
  tellTime(awaited.expires_at);
  if (approved) offerPasskey(awaited.approved_as);
  else if (awaited.opened_elsewhere) say('Opened on a second phone too. If that is not yours, decline.', 'caution');
  else if (awaited.state === 'opened') say('Opened on a phone. Finish there.', 'waiting');
  else say('Waiting for your phone…', 'waiting');
}

/** @param {Awaited} awaited */
function draw({ url, qr = '', page = '', code = '' }) {
  const frame = element('qr', HTMLElement);
  if (!url || frame.dataset.url === url) return;
  const image = Object.assign(new Image(), { src: qr, alt: 'QR code to scan with your phone', className: 'qr' });
  frame.replaceChildren(image);
  frame.dataset.url = url;
  element('page', HTMLElement).textContent = page;
  element('code', HTMLElement).textContent = code;
}

/** @param {string} until */
function tellTime(until) {
  /** @type {HTMLTimeElement} */ (left.querySelector('time')).dateTime = until;
  left.hidden = false;
  tellTimes();
}

/** @param {string} [username] */
function offerPasskey(username) {
  if (!making) say(username ? `Approved as ${username}.` : 'Approved.', 'good');
  if (!make.hidden) return;
  element('approved', HTMLElement).hidden = false;
  make.hidden = false;
  make.focus();
}

async function makePasskey() {
  making = true;
  say('Waiting for this device to make the passkey…', 'waiting');
  try {
    const { publicKey } = await post('/phone/join/passkey/options', {});
    const credential = await create(publicKey);
    say('Keeping it…', 'waiting');
    const { name, redirect } = await post('/phone/join/passkey', { credential });
    turn++;
    keep('nod.added', name);
    leaveFor(redirect);
  } catch (error) {
    sayMaking(error);
  } finally {
    making = false;
  }
}

/** @param {unknown} error */
function sayMaking(error) {
  if (make.hidden) return; // it has ended meanwhile, and that is said
  if (error instanceof Error && error.name === 'InvalidStateError') {
    say('This device has a passkey of yours already. Sign in with it.');
  } else if (error instanceof CallError && (error.status === 404 || error.status === 410)) {
    end(error.body.code === 'expired' ? 'lapsed' : 'canceled');
  } else {
    sayWhy(error);
  }
}

/** @param {string} state */
function end(state) {
  turn++;
  for (const part of ['ask', 'approved', 'left']) element(part, HTMLElement).hidden = true;
  make.hidden = true;
  say(ends[state]);
  offer();
}

function offer() {
  again.hidden = false;
  again.focus();
}

make.addEventListener('click', () => once(make, makePasskey));
again.addEventListener('click', () => once(again, start));

if (supported) {
  await seen();
  await start();
} else {
  say(unsupported, 'bad');
}
