// Sign-in: a button, and suggestions in a field where the browser can do that.

import { CallError, leaveFor, post } from './call.js';
import { seen, sleep } from './clock.js';
import { sayWhy, stop, suggest, suggests, supported, unsupported, use } from './passkey.js';
import { element, once, say } from './status.js';

const form = element('signin', HTMLFormElement);
const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));

const usualLife = 120_000; // milliseconds for which the server keeps a ceremony
const renewAfter = 0.75; // of that life
const pause = 5_000; // milliseconds between a ceremony that failed and the next

/** Rises with every ceremony asked for by hand; offers made before then end. */
let turn = 0;

/**
 * Runs one sign-in to its end, which is another page.
 *
 * @param {(publicKey: {timeout?: number}) => Promise<object>} ceremony
 */
async function signIn(ceremony) {
  const { publicKey } = await post('/phone/signin/options', {});
  const credential = await ceremony(publicKey);
  say('Signing in…', 'waiting');
  const { redirect } = await post('/phone/signin', { credential, next: form.dataset.next });
  leaveFor(redirect ?? form.dataset.next);
}

/** Offers passkeys in the field, each ceremony replaced before it runs out. */
async function keepOffering() {
  const mine = turn;
  while (mine === turn) {
    await seen();
    try {
      await signIn((publicKey) => offer(publicKey, mine));
      return;
    } catch (error) {
      // Nobody asked for this ceremony: only a refusal of the passkey is shown.
      if (mine === turn && error instanceof CallError && error.status > 0) sayWhy(error);
      if (!renewed(error)) await sleep(pause);
    }
  }
}

/**
 * @param {{timeout?: number}} publicKey
 * @param {number} mine
 */
async function offer(publicKey, mine) {
  if (mine !== turn) throw new DOMException('replaced', 'AbortError');
  const renewal = setTimeout(stop, (publicKey.timeout ?? usualLife) * renewAfter);
  try {
    return await suggest(publicKey);
  } finally {
    clearTimeout(renewal);
  }
}

/** @param {unknown} error */
const renewed = (error) => error instanceof Error && error.name === 'AbortError';

async function askNow() {
  turn++;
  say('Waiting for your passkey…', 'waiting');
  try {
    await signIn(use);
  } catch (error) {
    sayWhy(error);
    if (await suggests()) keepOffering();
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  once(button, askNow);
});

if (!supported) {
  say(unsupported, 'bad');
} else {
  button.disabled = false;
  if (await suggests()) {
    element('choose', HTMLElement).hidden = false;
    keepOffering();
  }
}
