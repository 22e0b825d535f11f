// The review card: approving with a passkey, and what happens to the request
// meanwhile. Declining is a plain form and needs nothing from here.

import { CallError, leaveFor, post } from './call.js';
import { now, seen, sleep } from './clock.js';
import { follow } from './follow.js';
import { steer } from './keys.js';
import { explain, sayWhy, stop, supported, unsupported, use } from './passkey.js';
import { element, once, say } from './status.js';

const decision = element('decision', HTMLElement);
const form = element('approve', HTMLFormElement);
const approve = /** @type {HTMLButtonElement} */ (document.querySelector('button[form="approve"]'));
const decline = /** @type {HTMLButtonElement} */ (document.querySelector('#decline button'));

const { requestId = '', way = '', secret = '', expires = '', version = '' } = decision.dataset;
const ref = { way, secret };

const openedElsewhere = 'This request was opened on another phone too. If that was not you, decline.';
const again = 'backend' in decision.dataset ? 'where you began' : 'on the device';
const takenBack = 'This request was canceled. Nothing was shared.';
const answered = 'Somebody else has answered this request.';
const ranOut = `This request has run out. Nothing was shared. Start again ${again}.`;

/** @returns {string | undefined} the number typed or picked, or what was confirmed, if one is asked for */
function chosenNumber() {
  const number = new FormData(form).get('number');
  // Phones may insert spaces or full-width digits.
  return typeof number === 'string' ? number.normalize('NFKC').replace(/\s/g, '') : undefined;
}

/** Settles with the call about this person's answer that is under way, or was last. */
let answer = Promise.resolve();

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 */
function send(path, body) {
  const sent = post(path, { ref, ...body });
  answer = sent.catch(() => {});
  return sent;
}

async function approveNow() {
  say('Waiting for your passkey…', 'waiting');
  try {
    const { publicKey } = await askToApprove();
    const credential = await use(publicKey);
    say('Approving…', 'waiting');
    const { redirect } = await send('/phone/requests/approve', { credential });
    leaveFor(redirect ?? `/r/${encodeURIComponent(requestId)}`);
  } catch (error) {
    refused(error);
  }
}

/** @returns {Promise<{publicKey: object}>} */
async function askToApprove() {
  try {
    return await send('/phone/requests/approve/options', { number: chosenNumber() });
  } catch (error) {
    // The session is over. This very page asks for a sign-in and comes back.
    if (error instanceof CallError && error.status === 401) leaveFor(location.pathname + location.search);
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

/** Whether the card has ended, or its answer is given. */
let closed = false;

/** Ends the card: nothing is left to decide, and no time runs any more. */
function close() {
  closed = true;
  clearInterval(watch);
  form.hidden = true;
  document.querySelector('.check .choice')?.remove();
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

/**
 * What others did to the request.
 *
 * @param {import('./follow.js').News} news
 * @returns {Promise<boolean>} whether that was the end
 */
async function tell({ state, opened_elsewhere: elsewhere, redirect }) {
  if (closed) return true;
  if (state === 'pending') {
    if (elsewhere) tellElsewhere();
    return false;
  }
  // What this person did here is told by its own call.
  await answer;
  await sleep(0);
  if (closed) return true;
  if (redirect && state !== 'expired') {
    stop();
    leaveFor(redirect);
  } else {
    say(state === 'expired' ? ranOut : state === 'canceled' ? takenBack : answered);
    close();
  }
  return true;
}

/** Adds the line, once. */
function tellElsewhere() {
  const line = document.getElementById('elsewhere');
  if (!(line instanceof HTMLTemplateElement)) return;
  line.replaceWith(line.content);
  // One warning, and this is the gravest.
  decision.querySelector('.warning')?.remove();
  const caution = document.getElementById('caution');
  if (caution instanceof HTMLTemplateElement) {
    const words = caution.content.querySelector('[data-words]');
    if (words) words.textContent = openedElsewhere;
    caution.replaceWith(caution.content);
  }
  say(openedElsewhere, 'unseen');
}

/** Says where not all of the details is in sight. */
function tellOfMore() {
  const details = document.getElementById('details');
  if (!details) return;
  const look = () => {
    const fits = details.scrollHeight <= details.clientHeight;
    element('more', HTMLElement).hidden = fits;
    details.tabIndex = fits ? -1 : 0; // what needs no scrolling is no stop on the way
  };
  new ResizeObserver(look).observe(details);
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

for (const plain of decision.querySelectorAll('form[method="post"]')) {
  plain.addEventListener('submit', () => { closed = true; });
}

if (supported) {
  approve.disabled = false;
} else {
  say(`${unsupported} You can still decline.`, 'bad');
}
// A long card must not start at its end because Decline has the focus.
decline.focus({ preventScroll: true });
window.scrollTo(0, 0);
steer(/** @type {HTMLElement} */ (document.querySelector('main')));
tellOfMore();
watchTime();
await tellOpened();
await follow(ref, Number(version), tell);
