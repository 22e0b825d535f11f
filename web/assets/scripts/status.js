// The live region of a page: one sentence at a time.

/** @typedef {'' | 'waiting' | 'good' | 'caution' | 'bad' | 'unseen'} Tone */

/**
 * Says a sentence in the page's status line; an empty one clears it.
 *
 * @param {string} sentence
 * @param {Tone} [tone]
 * @param {HTMLElement} [line] another live region than that of the page
 */
export function say(sentence, tone = '', line = element('status', HTMLElement)) {
  line.className = tone ? `status ${tone}` : 'status';
  line.textContent = sentence;
}

/**
 * The element with an id, which has to be there and of the type given.
 *
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`#${id} is not a ${type.name}`);
}

/**
 * Runs work, and keeps the button from starting it twice meanwhile. The button
 * keeps the focus, which disabling it would throw away.
 *
 * @param {HTMLButtonElement} button
 * @param {() => Promise<void>} work
 */
export async function once(button, work) {
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  try {
    await work();
  } finally {
    button.removeAttribute('aria-disabled');
  }
}
