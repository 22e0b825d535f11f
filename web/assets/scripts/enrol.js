// Enrolment: an invitation becomes a passkey.

import { leaveFor, post } from './call.js';
import { create, sayWhy, supported, unsupported } from './passkey.js';
import { element, once, say } from './status.js';

const form = element('enrol', HTMLFormElement);
const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));
const invitation = form.dataset.invitation;

async function enrol() {
  say('Waiting for your phone to make the passkey…', 'waiting');
  try {
    const { publicKey } = await post('/phone/enrol/options', { invitation });
    const credential = await create(publicKey);
    say('Keeping it…', 'waiting');
    const { redirect } = await post('/phone/enrol', { invitation, credential });
    leaveFor(redirect);
  } catch (error) {
    sayWhy(error);
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  once(button, enrol);
});

if (supported) {
  button.disabled = false;
} else {
  say(unsupported, 'bad');
}
