// The review card by keyboard and by D-pad, which has four arrows and Enter.
// Browsers move between the choices by themselves, in a circle that a D-pad
// never gets out of; and Tab, which leads on, is not on it.

/**
 * @param {HTMLElement} card with the number, or what is confirmed in its place, and
 *   the two buttons
 */
export function steer(card) {
  card.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.isComposing) return;
    const next = press(card, event);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

/**
 * @param {HTMLElement} card
 * @param {KeyboardEvent} event
 * @returns {HTMLElement | undefined} where the focus goes, if not the browser's way
 */
function press(card, { key, target }) {
  const stops = stopsOf(card);
  /** @type {HTMLButtonElement[]} */
  const answers = [...card.querySelectorAll('.pair button')];
  const at = stops.findIndex((each) => each === target);
  if (at >= 0) return pressAt(stops, at, key, answers[0]);
  const answer = answers.findIndex((each) => each === target);
  if (answer < 0) return undefined;
  if (key === 'ArrowLeft') return answers[answer - 1];
  if (key === 'ArrowRight') return answers[answer + 1];
  return key === 'ArrowUp' ? stops.find(isChosen) ?? stops.at(-1) : undefined;
}

/**
 * What stands above the answers and can have the focus: the numbers or what is
 * confirmed in their place, and details that do not fit their frame.
 *
 * @param {HTMLElement} card
 * @returns {HTMLElement[]}
 */
function stopsOf(card) {
  /** @type {HTMLElement[]} */
  const all = [...card.querySelectorAll('input[name="number"], #details')];
  return all.filter((each) => each instanceof HTMLInputElement || each.scrollHeight > each.clientHeight);
}

/** @param {HTMLElement} [stop] */
const isRadio = (stop) => stop instanceof HTMLInputElement && stop.type === 'radio';

/** @param {HTMLElement} stop */
const isChosen = (stop) => isRadio(stop) && /** @type {HTMLInputElement} */ (stop).checked;

/**
 * @param {HTMLElement[]} stops
 * @param {number} at
 * @param {string} key
 * @param {HTMLElement} below what follows the last stop
 * @returns {HTMLElement | undefined}
 */
function pressAt(stops, at, key, below) {
  const stop = stops[at];
  if (key === 'Enter') return choose(stop);
  const step = key === 'ArrowDown' ? 1 : key === 'ArrowUp' ? -1 : 0;
  const next = stops[at + step];
  if (step === 0 || (isRadio(stop) && isRadio(next)) || scrolls(stop, step)) return undefined;
  return next ?? (step > 0 ? below : undefined);
}

/**
 * Whether a frame still has something to show in a direction.
 *
 * @param {HTMLElement} stop
 * @param {number} step 1 for down, -1 for up
 */
function scrolls(stop, step) {
  if (stop instanceof HTMLInputElement) return false;
  return step > 0 ? stop.scrollTop + stop.clientHeight < stop.scrollHeight - 1 : stop.scrollTop > 0;
}

/**
 * Enter chooses what is not chosen yet; once more, and it approves.
 *
 * @param {HTMLElement} stop
 * @returns {HTMLElement | undefined}
 */
function choose(stop) {
  if (!(stop instanceof HTMLInputElement) || stop.checked || (stop.type !== 'radio' && stop.type !== 'checkbox')) return undefined;
  stop.checked = true;
  return stop;
}
