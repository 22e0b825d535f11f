// Enrolment: an invitation becomes a passkey. The invitation's secret is the
// fragment of its link, which browsers keep to themselves; from here it goes to the
// server in the bodies of calls, and into no address.

import { CallError, leaveFor, post } from './call.js';
import { tellTimes } from './clock.js';
import { create, sayWhy, supported, unsupported } from './passkey.js';
import { element, once, say } from './status.js';

const form = element('enrol', HTMLFormElement);
const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));
const invitation = secretHere();

/** What is done when the button is pressed. */
let next = look;

/** @returns {string} the secret of where the tab is; empty when the page was opened without */
function secretHere() {
  return location.hash.slice(1) || (history.state?.invitation ?? '');
}

/**
 * Takes the secret out of the address bar. It stays with this entry of the tab's
 * history, so that the page can be loaded again, and goes when the entry does.
 */
function clearAddress() {
  if (location.hash) history.replaceState({ invitation }, '', location.pathname);
}

/** Asks whom the invitation is for. */
async function look() {
  say('Looking at your invitation…', 'waiting');
  try {
    show(await post('/phone/enrol/look', { invitation }));
    offer('Create a passkey', enrol);
    say('');
  } catch (error) {
    offer('Try again', look);
    explain(error);
  }
}

async function enrol() {
  say('Waiting for your phone to make the passkey…', 'waiting');
  try {
    const { publicKey } = await post('/phone/enrol/options', { invitation });
    const credential = await create(publicKey);
    say('Keeping it…', 'waiting');
    const { redirect } = await post('/phone/enrol', { invitation, credential });
    leaveFor(redirect);
  } catch (error) {
    explain(error);
  }
}

/** @param {string} words @param {() => Promise<void>} act */
function offer(words, act) {
  button.textContent = words;
  button.disabled = false;
  next = act;
}

/**
 * @param {{username: string, expires_at: string, recovers: boolean, replaces?: string}} found
 *   replaces is another account that is signed in here
 */
function show({ username, expires_at: until, recovers, replaces = '' }) {
  for (const [name, text] of Object.entries({ username, replaces })) {
    for (const place of document.querySelectorAll(`[data-fill="${name}"]`)) place.textContent = text;
  }
  element('until', HTMLTimeElement).dateTime = until;
  tellTimes();
  for (const [id, there] of Object.entries({ whose: true, recovers, replaces: replaces !== '', expires: true })) {
    element(id, HTMLElement).hidden = !there;
  }
}

/** @param {unknown} error of a call or of the ceremony */
function explain(error) {
  if (error instanceof CallError && error.body.code === 'invitation_over') {
    end('This invitation is over', error.message);
  } else {
    sayWhy(error);
  }
}

/**
 * Puts the end in the place of the question. The focus goes along, because what had
 * it may be gone; the reason is read out behind the heading.
 *
 * @param {string} title
 * @param {string} why
 */
function end(title, why) {
  const heading = element('over-title', HTMLElement);
  heading.textContent = title;
  document.title = document.title.replace(/^[^·]*/, `${title} `);
  element('invited', HTMLElement).hidden = true;
  element('over', HTMLElement).hidden = false;
  heading.focus();
  element('why', HTMLElement).textContent = why;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  once(button, next);
});

// Another invitation that is opened in this tab, or gone back to, is at the same path,
// and the browser leaves the page as it is.
for (const moved of ['hashchange', 'popstate']) {
  addEventListener(moved, () => {
    if (secretHere() !== invitation) location.reload();
  });
}

if (!supported) { // the address stays whole, to be opened in another browser
  say(unsupported, 'bad');
} else if (!invitation) {
  end('There is no invitation here', 'This page needs the whole link. Open it once more as you were given it, or scan its code again.');
} else {
  clearAddress();
  await look();
}
