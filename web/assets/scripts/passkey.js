// The passkey ceremonies, over the vendored @simplewebauthn/browser, and what
// to say when one does not end well.

import '../vendor/simplewebauthn/index.umd.min.js';

import { CallError } from './call.js';
import { say } from './status.js';

/**
 * The part of the library that is used here.
 *
 * @typedef {object} Library
 * @property {() => boolean} browserSupportsWebAuthn
 * @property {() => Promise<boolean>} browserSupportsWebAuthnAutofill
 * @property {(o: {optionsJSON: object, useBrowserAutofill?: boolean}) => Promise<object>} startAuthentication
 * @property {(o: {optionsJSON: object}) => Promise<object>} startRegistration
 * @property {{cancelCeremony: () => void}} WebAuthnAbortService
 */

/** @type {Library} */
const library = /** @type {any} */ (globalThis).SimpleWebAuthnBrowser;

/** Whether this browser knows passkeys at all. */
export const supported = library.browserSupportsWebAuthn();

/** Whether it can offer them as suggestions of an input field. */
export const suggests = () => library.browserSupportsWebAuthnAutofill();

/**
 * Asks for a passkey now, in the browser's own window.
 *
 * @param {object} publicKey PublicKeyCredentialRequestOptionsJSON
 */
export const use = (publicKey) => library.startAuthentication({ optionsJSON: publicKey });

/**
 * Offers passkeys in the field marked autocomplete="webauthn" and waits for a
 * choice. The next ceremony, or {@link stop}, ends it with an AbortError.
 *
 * @param {object} publicKey PublicKeyCredentialRequestOptionsJSON
 */
export const suggest = (publicKey) =>
  library.startAuthentication({ optionsJSON: publicKey, useBrowserAutofill: true });

/** Ends the ceremony under way, if there is one. */
export const stop = () => library.WebAuthnAbortService.cancelCeremony();

/**
 * Creates a passkey.
 *
 * @param {object} publicKey PublicKeyCredentialCreationOptionsJSON
 */
export const create = (publicKey) => library.startRegistration({ optionsJSON: publicKey });

export const unsupported = 'This browser has no passkeys. Open this page in an up-to-date browser.';

const sentences = new Map([
  ['NotAllowedError', 'No passkey was used. Nothing has changed, and you can try again.'],
  ['AbortError', 'No passkey was used. Nothing has changed, and you can try again.'],
  ['InvalidStateError', 'This phone already has a passkey for this account. Sign in with it.'],
  ['SecurityError', 'Passkeys do not work at this address. Open nod at its own address.'],
  ['NotSupportedError', 'This phone cannot make the kind of passkey that is needed here.'],
  ['ConstraintError', 'Set up a screen lock on this phone first, then try again.'],
]);

/**
 * Says what went wrong. Only a refusal by nod is marked as bad: to close the
 * window of a passkey, or to be without a connection, is no danger.
 *
 * @param {unknown} error of a call or of a ceremony
 */
export function sayWhy(error) {
  say(explain(error), error instanceof CallError && error.status > 0 ? 'bad' : '');
}

/**
 * What happened, as a sentence.
 *
 * @param {unknown} error of a call or of a ceremony
 * @returns {string}
 */
export function explain(error) {
  if (error instanceof CallError) return error.message;
  const name = error instanceof Error ? error.name : '';
  return sentences.get(name) ?? 'The passkey did not work. Nothing has changed, and you can try again.';
}
