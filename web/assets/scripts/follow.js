// What happens to a request while somebody looks at it: on another phone, on the
// device that asks, or because its time ran out.

import { CallError, post } from './call.js';
import { seen, sleep } from './clock.js';

/**
 * @typedef {object} News
 * @property {'pending' | 'approved' | 'denied' | 'canceled' | 'expired'} state
 * @property {number} version
 * @property {boolean} [opened_elsewhere]
 * @property {string} [redirect] where its end is told
 */

const pause = 500; // milliseconds between two calls, each held by the server
const longestPause = 30_000; // after calls that failed, each doubling the pause

/**
 * Follows a request while the page is seen, until tell answers true or there is
 * nothing to follow any more.
 *
 * @param {{way: string, secret: string}} ref
 * @param {number} since the version that the page shows
 * @param {(news: News) => Promise<boolean>} tell
 */
export async function follow(ref, since, tell) {
  for (let failures = 0; ; ) {
    await seen();
    try {
      const news = await post('/phone/requests/follow', { ref, since });
      if (await tell(news)) return;
      failures = 0;
      since = news.version;
    } catch (error) {
      if (pointless(error)) return;
      failures++;
    }
    await sleep(Math.min(pause * 2 ** failures, longestPause));
  }
}

/**
 * Whether asking again would be answered the same: signed out, not found.
 * Waiting helps where nod is busy, or the connection is gone.
 *
 * @param {unknown} error
 */
function pointless(error) {
  if (!(error instanceof CallError)) return true;
  return error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 429;
}
