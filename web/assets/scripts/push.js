// Being told on this phone: the browser's push subscription and its registration
// with nod. Nothing here asks for the browser's permission without a tap.

import { CallError, post } from './call.js';
import { sleep } from './clock.js';
import { keep, kept } from './memory.js';

/**
 * How things stand between this browser and push. "install" is an iPhone or iPad
 * whose browser can be reached only from the Home Screen.
 *
 * @typedef {'on' | 'off' | 'blocked' | 'install' | 'unsupported'} State
 */

/**
 * What this browser remembers of its registration.
 *
 * @typedef {{endpoint: string, phone: string, user: string}} Registration
 */

const memory = 'nod.phone';

/** Milliseconds after which a browser that does not answer has no push service. */
const patience = 20_000;

const supported = 'serviceWorker' in navigator && 'PushManager' in globalThis && 'Notification' in globalThis;

// iPads say that they are Macs, which have no touch screens.
const onApple = /iPhone|iPad|iPod/.test(navigator.userAgent)
  || (navigator.userAgent.includes('Macintosh') && navigator.maxTouchPoints > 1);

/** A refusal by the browser, with a sentence about it. */
class PushError extends Error {}

/** Installs the service worker, which pages without a connection need too. */
export async function installWorker() {
  if (!('serviceWorker' in navigator)) return;
  await navigator.serviceWorker.register('/sw.js', { updateViaCache: 'none' });
}

/**
 * Looks how things stand, for one user: somebody else may have been told here.
 *
 * @param {string} user
 * @returns {State}
 */
export function standing(user) {
  if (!supported) return onApple ? 'install' : 'unsupported';
  if (Notification.permission === 'denied') return 'blocked';
  return Notification.permission === 'granted' && recall()?.user === user ? 'on' : 'off';
}

/**
 * Shows the part of a section that speaks of a state, and hides the others.
 *
 * @param {HTMLElement} section
 * @param {State} state
 */
export function reveal(section, state) {
  for (const part of section.querySelectorAll('[data-state]')) {
    /** @type {HTMLElement} */ (part).hidden = /** @type {HTMLElement} */ (part).dataset.state !== state;
  }
}

/** @returns {string} the id of the phone that this browser is, or "" */
export const thisPhone = () => recall()?.phone ?? '';

/**
 * Turns notifications on. To be called from a tap and before anything else:
 * browsers ask their question only then.
 *
 * @param {string} key the server's, base64url
 * @param {string} user
 */
export async function turnOn(key, user) {
  const permission = await Notification.requestPermission();
  if (permission === 'denied') throw new PushError('The browser blocks notifications from nod. Nothing was changed.');
  if (permission !== 'granted') throw new PushError('Notifications stay off. You can turn them on whenever you like.');
  await installWorker();
  await register(await within(subscribe(key)), user);
}

/**
 * Registers anew where a browser has replaced its subscription, or the server
 * its key, since the last visit. Does nothing where notifications are off.
 *
 * @param {string} key the server's, base64url
 * @param {string} user
 */
export async function repair(key, user) {
  if (standing(user) !== 'on') return;
  const subscription = await within(subscribe(key));
  if (subscription.endpoint !== recall()?.endpoint) await register(subscription, user);
}

/** Ends the subscription; the server is told by whoever calls this. */
export async function turnOff() {
  forget();
  if (!supported) return;
  const registration = await navigator.serviceWorker.getRegistration('/');
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
}

/** Forgets the registration, because the server has. */
export const forget = () => keep(memory, '');

/**
 * Before the form signs this browser out, it stops being a phone that is told.
 * Signing out does not wait longer than a moment for that.
 *
 * @param {HTMLFormElement} form
 */
export function leaveWith(form) {
  form.addEventListener('submit', async (event) => {
    const phone = thisPhone();
    if (!phone) return;
    event.preventDefault();
    const told = Promise.allSettled([post(removalPath(phone), {}), turnOff()]);
    await Promise.race([told, sleep(3_000)]);
    form.submit();
  });
}

/** @param {string} phone */
const removalPath = (phone) => `/phone/phones/${encodeURIComponent(phone)}/remove`;

/**
 * What went wrong, as a sentence.
 *
 * @param {unknown} error of one of the functions above
 * @returns {string}
 */
export function explainPush(error) {
  if (error instanceof CallError || error instanceof PushError) return error.message;
  const name = error instanceof Error ? error.name : '';
  if (name === 'NotAllowedError') return 'The browser does not allow notifications here. A private window never does.';
  if (name === 'AbortError' || name === 'TimeoutError') {
    return 'The browser could not reach its own push service. Try again in a moment, or in another browser.';
  }
  return 'The browser could not turn on notifications. Try again, or use another browser.';
}

/**
 * The browser's subscription for a key: the one it has, or a new one.
 *
 * @param {string} key
 * @returns {Promise<PushSubscription>}
 */
async function subscribe(key) {
  const { pushManager } = await navigator.serviceWorker.ready;
  const wanted = bytes(key);
  const known = await pushManager.getSubscription();
  if (known && sameBytes(known.options.applicationServerKey, wanted)) return known;
  await known?.unsubscribe(); // one key at a time
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: wanted });
}

/**
 * @param {PushSubscription} subscription
 * @param {string} user
 */
async function register(subscription, user) {
  const { phone } = await post('/phone/phones', { kind: 'webpush', subscription: subscription.toJSON() });
  keep(memory, JSON.stringify({ endpoint: subscription.endpoint, phone: phone.id, user }));
}

/**
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
function within(work) {
  const late = sleep(patience).then(() => { throw new DOMException('no answer', 'TimeoutError'); });
  return Promise.race([work, late]);
}

/** @returns {Registration | null} */
function recall() {
  try {
    return JSON.parse(kept(memory) || 'null');
  } catch {
    return null;
  }
}

/** @param {string} text base64url */
function bytes(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
}

/**
 * @param {ArrayBuffer | null} known
 * @param {Uint8Array} wanted
 */
function sameBytes(known, wanted) {
  if (!known) return false;
  const found = new Uint8Array(known);
  return found.length === wanted.length && found.every((byte, at) => byte === wanted[at]);
}
