// The review card: approving with a passkey, and time running out. Declining is
// a plain form and needs nothing from here.

import { CallError, leaveFor, post } from './call.js';
import { now, seen } from './clock.js';
import { explain, sayWhy, supported, unsupported, use } from './passkey.js';
import { element, once, say } from './status.js';

const decision = element('decision', HTMLElement);
const form = element('approve', HTMLFormElement);
const approve = /** @type {HTMLButtonElement} */ (document.querySelector('button[form="approve"]'));
const decline = /** @type {HTMLButtonElement} */ (document.querySelector('#decline button'));

const { requestId = '', way = '', secret = '', expires = '' } = decision.dataset;
const ref = { way, secret };

const ranOut = 'This request has run out. Nothing was shared. Start again on the device.';

/** @returns {string | undefined} the number typed or picked, if one is asked for */
function chosenNumber() {
  const number = new FormData(form).get('number');
  // Phones may insert spaces or full-width digits.
  return typeof number === 'string' ? number.normalize('NFKC').replace(/\s/g, '') : undefined;
}

async function approveNow() {
  say('Waiting for your passkey…', 'waiting');
  try {
    const { publicKey } = await askToApprove();
    const credential = await use(publicKey);
    say('Approving…', 'waiting');
    const { redirect } = await post('/phone/requests/approve', { ref, credential });
    leaveFor(redirect ?? `/r/${encodeURIComponent(requestId)}`);
  } catch (error) {
    refused(error);
  }
}

/** @returns {Promise<{publicKey: object}>} */
async function askToApprove() {
  try {
    return await post('/phone/requests/approve/options', { ref, number: chosenNumber() });
  } catch (error) {
    // The session is over. This very page asks for a sign-in and comes back.
    if (error instanceof CallError && error.status === 401) leaveFor(location.pathname);
    throw error;
  }
}

/** Answers after which there is nothing left to decide. */
const final = new Set([403, 404, 409, 410]);

/** @param {unknown} error */
function refused(error) {
  const status = error instanceof CallError ? error.status : 0;
  if (final.has(status)) {
    say(explain(error)); // the end of a request is no danger
    return close();
  }
  sayWhy(error);
  if (status === 422) askNumberAgain(/** @type {CallError} */ (error).body);
}

/** @param {Record<string, unknown>} answer */
function askNumberAgain(answer) {
  const field = document.getElementById('number');
  if (!(field instanceof HTMLInputElement)) return;
  const tries = answer.tries_left;
  if (typeof tries === 'number') {
    element('tries', HTMLElement).textContent = `${tries} ${tries === 1 ? 'try' : 'tries'} left`;
  }
  field.value = '';
  field.setAttribute('aria-invalid', 'true');
  field.focus();
}

/** The timer that looks whether the request has run out. */
let watch = 0;

/** Ends the card: nothing is left to decide, and no time runs any more. */
function close() {
  clearInterval(watch);
  form.hidden = true;
  document.getElementById('left')?.closest('div')?.remove();
  for (const part of decision.querySelectorAll('.actions, #sure, .warning')) {
    /** @type {HTMLElement} */ (part).hidden = true;
  }
  const after = element('after', HTMLElement);
  after.hidden = false;
  after.querySelector('a')?.focus();
}

/** Tells nod, once, that a person has the card in front of them. */
async function tellOpened() {
  await seen();
  try {
    await post('/phone/requests/opened', { ref });
  } catch {
    // Only the words on the waiting screen depend on it.
  }
}

function watchTime() {
  const end = Date.parse(expires);
  if (Number.isNaN(end)) return;
  watch = setInterval(() => {
    if (now() < end) return;
    say(ranOut);
    close();
  }, 250);
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  once(approve, approveNow);
});

if (supported) {
  approve.disabled = false;
} else {
  say(`${unsupported} You can still decline.`, 'bad');
}
// A long card must not start at its end because Decline has the focus.
decline.focus({ preventScroll: true });
window.scrollTo(0, 0);
tellOpened();
watchTime();
