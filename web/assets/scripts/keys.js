// The review card by keyboard and by D-pad, which has four arrows and Enter.
// Browsers move between the choices by themselves, in a circle that a D-pad
// never gets out of; and Tab, which leads on, is not on it.

/**
 * @param {HTMLElement} decision the part with the number and the two buttons
 */
export function steer(decision) {
  decision.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.isComposing) return;
    const next = press(decision, event);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

/**
 * @param {HTMLElement} decision
 * @param {KeyboardEvent} event
 * @returns {HTMLElement | undefined} where the focus goes, if not the browser's way
 */
function press(decision, { key, target }) {
  /** @type {HTMLInputElement[]} */
  const numbers = [...decision.querySelectorAll('input[name="number"]')];
  /** @type {HTMLButtonElement[]} */
  const answers = [...decision.querySelectorAll('.pair button')];
  const number = numbers.find((each) => each === target);
  if (number && key === 'Enter') return choose(number);
  if (number && key === 'ArrowDown') return number === numbers.at(-1) ? answers[0] : undefined;
  const answer = answers.findIndex((each) => each === target);
  if (answer < 0) return undefined;
  if (key === 'ArrowLeft') return answers[answer - 1];
  if (key === 'ArrowRight') return answers[answer + 1];
  return key === 'ArrowUp' ? numbers.find((each) => each.checked) ?? numbers.at(-1) : undefined;
}

/**
 * Enter chooses what is not chosen yet; once more, and it approves.
 *
 * @param {HTMLInputElement} number
 * @returns {HTMLElement | undefined}
 */
function choose(number) {
  if (number.type !== 'radio' || number.checked) return undefined;
  number.checked = true;
  return number;
}
