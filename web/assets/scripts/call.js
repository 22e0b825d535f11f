// Calls to nod's own phone face. A refusal comes back as a CallError whose
// message is a sentence for the person at the phone.

/** A call that did not end well. */
export class CallError extends Error {
  /**
   * @param {string} message a sentence to show
   * @param {number} status the HTTP status; 0 when no answer came
   * @param {Record<string, unknown>} body the answer, as far as it was JSON
   */
  constructor(message, status = 0, body = {}) {
    super(message);
    this.name = 'CallError';
    this.status = status;
    this.body = body;
  }
}

const unreachable = 'The connection is interrupted. Nothing is lost: try again in a moment.';

/**
 * Posts JSON and returns the JSON that comes back, or {} when nothing does.
 *
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 */
export function post(path, body) {
  return send(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
    body: JSON.stringify(body),
  });
}

/**
 * Gets JSON.
 *
 * @param {string} path
 * @returns {Promise<any>}
 */
export function get(path) {
  return send(path, { headers: { Accept: 'application/json' } });
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<any>}
 */
async function send(path, init) {
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', credentials: 'same-origin', ...init });
  } catch {
    throw new CallError(unreachable);
  }
  const answer = await readJSON(response);
  if (response.ok) return answer;
  throw new CallError(typeof answer.message === 'string' ? answer.message : unreachable, response.status, answer);
}

/**
 * A gateway's error page is not JSON; it counts as an empty answer.
 *
 * @param {Response} response
 * @returns {Promise<any>}
 */
async function readJSON(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

/**
 * Leaves for a path of this origin; anything else leads to the start page. The
 * page left is replaced, so that Back does not return to a question answered.
 *
 * @param {unknown} path
 */
export function leaveFor(path) {
  const target = new URL(typeof path === 'string' ? path : '/', location.origin);
  location.replace(target.origin === location.origin ? target.href : '/');
}
