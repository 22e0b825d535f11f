// Notifications: how this browser stands, turning it on, and sending a test
// without leaving the page. The list and its forms work without.

import { leaveFor, post } from './call.js';
import { explain } from './passkey.js';
import {
  explainPush, forget, installWorker, repair, reveal, standing, thisPhone, turnOff, turnOn,
} from './push.js';
import { element, once, say } from './status.js';

const section = element('push', HTMLElement);
const { key = '', user = '' } = section.dataset;

/** @type {HTMLElement[]} */
const lines = [...document.querySelectorAll('[data-phone]')];

/** @returns {HTMLElement | undefined} the line of the phone that this browser is */
const here = () => lines.find((line) => line.dataset.phone === thisPhone());

async function turnOnHere() {
  say('Waiting for the browser…', 'waiting');
  try {
    await turnOn(key, user);
    leaveFor('/notifications'); // with this phone in the list
  } catch (error) {
    say(explainPush(error));
    reveal(section, standing(user));
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement} line
 */
async function sendTest(form, line) {
  const status = /** @type {HTMLElement} */ (line.querySelector('.status'));
  say('Sending a test…', 'waiting', status);
  try {
    const { sent, answer } = await post(new URL(form.action).pathname, {});
    say(answer, sent ? 'good' : '', status);
  } catch (error) {
    say(explain(error), '', status);
  }
}

for (const line of lines) {
  const test = /** @type {HTMLFormElement} */ (line.querySelector('form.test'));
  test.addEventListener('submit', (event) => {
    event.preventDefault();
    const button = /** @type {HTMLButtonElement} */ (test.querySelector('button'));
    once(button, () => sendTest(test, line));
  });
  const remove = /** @type {HTMLFormElement} */ (line.querySelector('form.remove'));
  remove.addEventListener('submit', async (event) => {
    if (line !== here()) return;
    event.preventDefault();
    await turnOff().catch(() => {}); // what is left of it reaches nobody
    remove.submit();
  });
}

/** Shows how this browser stands. */
function tell() {
  reveal(section, standing(user));
  for (const line of lines) {
    /** @type {HTMLElement} */ (line.querySelector('[data-here]')).hidden = standing(user) !== 'on' || line !== here();
  }
}

// Removed from another phone, or registered by another user of this browser.
if (!here()) forget();
tell();

if (key) {
  const button = element('turn-on', HTMLButtonElement);
  button.addEventListener('click', () => once(button, turnOnHere));
  const permission = await navigator.permissions?.query({ name: 'notifications' }).catch(() => undefined);
  permission?.addEventListener('change', tell);
  await installWorker().then(() => repair(key, user)).catch(() => {}); // the next visit tries again
}
