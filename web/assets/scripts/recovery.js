// Recovery codes: made once a passkey has vouched, shown once, printed or copied.

import { post } from './call.js';
import { sayWhy, supported, unsupported, use } from './passkey.js';
import { element, once, say } from './status.js';

const form = element('make', HTMLFormElement);
const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));
const stampFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

/** @type {string[]} the codes on the page */
let shown = [];

async function make() {
  say('Waiting for your passkey…', 'waiting');
  try {
    const { publicKey } = await post('/phone/recovery/options', {});
    const credential = await use(publicKey);
    say('Making the codes…', 'waiting');
    const { codes, made_at: madeAt } = await post('/phone/recovery', { credential });
    show(codes, madeAt);
  } catch (error) {
    sayWhy(error);
  }
}

/**
 * @param {string[]} codes
 * @param {string} madeAt
 */
function show(codes, madeAt) {
  shown = codes;
  element('codes', HTMLElement).replaceChildren(...codes.map((code) => {
    const line = document.createElement('li');
    line.append(Object.assign(document.createElement('code'), { textContent: code }));
    return line;
  }));
  element('where', HTMLElement).textContent = `${location.host}/recover`;
  element('since', HTMLElement).textContent = `Made ${stampFormat.format(Date.parse(madeAt))}. Codes from before do not work any more.`;
  element('about', HTMLElement).hidden = true;
  element('made', HTMLElement).hidden = false;
  element('heading', HTMLElement).focus();
}

/** @param {string} sentence @param {import('./status.js').Tone} tone */
const tell = (sentence, tone) => say(sentence, tone, element('kept', HTMLElement));

async function copy() {
  try {
    await navigator.clipboard.writeText(`${shown.join('\n')}\n`);
    tell('Copied. Keep them where only you can read them.', 'good');
  } catch {
    tell('This browser did not allow copying. Print the codes, or write one down.', '');
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  once(button, make);
});
element('copy', HTMLButtonElement).addEventListener('click', copy);
element('print', HTMLButtonElement).addEventListener('click', () => window.print());

if (supported) {
  button.disabled = false;
} else {
  say(unsupported, 'bad');
}
