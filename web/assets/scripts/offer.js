// The offer to be told on this phone: nod's own question, before the browser's,
// which can be asked only once.

import { keep, kept } from './memory.js';
import { explainPush, repair, reveal, standing, turnOn } from './push.js';
import { element, once, say } from './status.js';

const answered = 'nod.offer';

/** Offers it where notifications could be on and nobody has said no. */
export async function offerPush() {
  const section = document.getElementById('push');
  if (!section) return; // this server sends none
  const { key = '', user = '' } = section.dataset;
  await repair(key, user).catch(() => {}); // the next visit tries again
  const state = standing(user);
  if (kept(answered) || (state !== 'off' && state !== 'install')) return;
  const on = element('turn-on', HTMLButtonElement);
  if (state === 'install') on.remove();
  on.addEventListener('click', () => once(on, () => accept(section, key, user)));
  element('not-now', HTMLButtonElement).addEventListener('click', () => {
    keep(answered, 'not now');
    close(section);
  });
  reveal(section, state);
  section.hidden = false;
}

/**
 * @param {HTMLElement} section
 * @param {string} key
 * @param {string} user
 */
async function accept(section, key, user) {
  say('Waiting for the browser…', 'waiting');
  try {
    await turnOn(key, user);
    say('Notifications are on for this phone.', 'good');
    close(section);
  } catch (error) {
    say(explainPush(error));
    if (standing(user) === 'blocked') close(section);
  }
}

/**
 * The focus goes on with what is left of the page.
 *
 * @param {HTMLElement} section
 */
function close(section) {
  section.hidden = true;
  /** @type {HTMLElement | null} */ (document.querySelector('#empty a'))?.focus();
}
