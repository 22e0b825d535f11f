// Without a connection: the page that was wanted, as soon as there is one.

import { seen, sleep } from './clock.js';
import { element, say } from './status.js';

const pause = 2_000; // milliseconds between two looks
const longestPause = 30_000; // after looks that failed, each doubling the pause

/** The address is still that of the page wanted, unless this one was asked for itself. */
function goOn() {
  if (location.pathname === '/offline') location.replace('/');
  else location.reload();
}

/** @returns {Promise<boolean>} whether nod answers; a gateway in front of it does not count */
async function reachable() {
  try {
    return (await fetch('/offline', { cache: 'no-store' })).ok;
  } catch {
    return false;
  }
}

async function look() {
  if (await reachable()) goOn();
}

// A phone that knows of a network may not reach nod yet, and one that lost only
// nod will hear of no other network: so both, word of one and looking.
async function keepLooking() {
  for (let wait = pause; ; wait = Math.min(2 * wait, longestPause)) {
    await sleep(wait);
    await seen();
    await look();
  }
}

element('again', HTMLAnchorElement).addEventListener('click', async (event) => {
  event.preventDefault();
  say('Trying again…', 'waiting');
  await look();
  say('Still no connection.');
});
addEventListener('online', look);
keepLooking();
