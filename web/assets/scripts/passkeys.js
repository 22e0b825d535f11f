// One more passkey: in this browser, or by a link on another device. Either way a
// passkey that is there already vouches first.

import { leaveFor, post } from './call.js';
import { keep, kept } from './memory.js';
import { create, sayWhy, supported, unsupported, use } from './passkey.js';
import { element, once, say } from './status.js';

const here = element('add-here', HTMLButtonElement);
const there = element('add-there', HTMLButtonElement);
const invitation = element('invitation', HTMLElement);
const clockFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });

/** What the page says after it was loaded anew. */
const added = 'nod.added';

/** @param {string} path */
async function vouch(path) {
  say('Confirm with a passkey that you have…', 'waiting');
  const { publicKey } = await post(`${path}/options`, {});
  return use(publicKey);
}

async function addHere() {
  try {
    const credential = await vouch('/phone/add');
    const { publicKey } = await post('/phone/add/vouch', { credential });
    say('Now make the new one…', 'waiting');
    const { name, redirect } = await post('/phone/add', { credential: await create(publicKey) });
    keep(added, name);
    leaveFor(redirect);
  } catch (error) {
    sayAdding(error);
  }
}

/** @param {unknown} error */
function sayAdding(error) {
  if (error instanceof Error && error.name === 'InvalidStateError') {
    say('This device has a passkey of yours already. Choose another device.');
  } else {
    sayWhy(error);
  }
}

async function addThere() {
  try {
    const credential = await vouch('/phone/invite');
    const { url, qr, expires_at: until } = await post('/phone/invite', { credential });
    show(url, qr, until);
    say('');
  } catch (error) {
    sayWhy(error);
  }
}

/**
 * @param {string} url
 * @param {string} qr a data: URL
 * @param {string} until
 */
function show(url, qr, until) {
  const code = Object.assign(new Image(), { src: qr, alt: 'QR code of the link below', className: 'qr' });
  element('qr', HTMLElement).replaceChildren(code);
  element('link', HTMLElement).textContent = url;
  element('until', HTMLElement).textContent = clockFormat.format(Date.parse(until));
  invitation.hidden = false;
  element('invitation-title', HTMLElement).focus();
  invitation.scrollIntoView({ block: 'nearest' });
}

async function copy() {
  const line = element('copied', HTMLElement);
  try {
    await navigator.clipboard.writeText(element('link', HTMLElement).textContent ?? '');
    say('Copied.', 'good', line);
  } catch {
    say('This browser did not allow copying. Scan the code, or type the link.', '', line);
  }
}

here.addEventListener('click', () => once(here, addHere));
there.addEventListener('click', () => once(there, addThere));
element('copy', HTMLButtonElement).addEventListener('click', copy);

if (supported) {
  here.disabled = there.disabled = false;
} else {
  say(unsupported, 'bad');
}
if (kept(added)) {
  say(`${kept(added)} was added. Your phones are told.`, 'good');
  keep(added, '');
}
