// The native API by hand: service tokens, raw calls, and the checks that every
// answer has to pass. No SDK in between, so that a trap can be set exactly.

import assert from 'node:assert/strict';
import { createPublicKey, randomInt, sign, verify } from 'node:crypto';
import { url } from './nod.mjs';

const alphanumeric = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (text) => JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));

/** A nonce as the contract wants it: 16 of A-Za-z0-9. */
export const newNonce = () => Array.from({ length: 16 }, () => alphanumeric[randomInt(alphanumeric.length)]).join('');

/** The current time in seconds, as in `iat`. */
export const nowSeconds = () => Math.floor(Date.now() / 1000);

/** Signs claims as a service token. A claim that is undefined is left out. */
export function signToken(privateKey, claims, header = { alg: 'ES256', typ: 'JWT' }) {
  const input = `${encode(header)}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

/** One registered client of the API. */
export class Native {
  /** @param {{client_id: string, private_key: string}} client as the command line printed it */
  constructor(client, base = url) {
    this.id = client.client_id;
    this.privateKey = client.private_key;
    this.base = base;
  }

  /** A service token of one scope; claims override or, when undefined, remove. */
  token(scope, claims = {}) {
    const usual = { client_id: this.id, type: scope, nonce: newNonce(), iat: nowSeconds() };
    return signToken(this.privateKey, { ...usual, ...claims });
  }

  /** POST with a fresh token of the scope; without a scope, with none. */
  post(path, scope, body, options = {}) {
    const headers = scope ? { Authorization: `Bearer ${this.token(scope)}` } : {};
    return request(this.base, path, { method: 'POST', body, ...options, headers: { ...headers, ...options.headers } });
  }

  /** Like post, and the answer must be 200. Returns its body. */
  async ok(path, scope, body, options) {
    const answer = await this.post(path, scope, body, options);
    assert.equal(answer.status, 200, `POST ${path}: got ${answer.status} ${answer.text}, want 200`);
    return answer.json;
  }

  createUser(username) {
    return this.ok('/manage/users', 'users.create', { username }, { headers: { 'X-Client-ID': this.id } });
  }

  retrieveUser(username) {
    return this.post('/manage/users/retrieve', 'users.retrieve', { username }, { headers: { 'X-Client-ID': this.id } });
  }

  generate(username, { type = 'short', purpose = 'temporary_authentication', authorize = false, ...ours } = {}) {
    return this.ok(`/codes/${type}/generate`, 'codes.generate',
      { client_id: this.id, username, purpose, authorize, ...ours });
  }

  authorize(username, code, { type = 'short', purpose = 'temporary_authentication' } = {}) {
    return this.post(`/codes/${type}/authorize`, 'codes.authorize', { client_id: this.id, username, purpose, code });
  }

  invalidateAll(username, { type = 'short', purpose = 'temporary_authentication' } = {}) {
    return this.ok(`/codes/${type}/invalidate-all`, 'codes.invalidate', { client_id: this.id, username, purpose });
  }

  /** Waits without a token, as a web page does. */
  wait(username, code, { type = 'short', no_wait = false, ...options } = {}) {
    const body = { client_id: this.id, username, authentication_code: { code, type }, no_wait, no_jwt: false };
    return this.post('/authenticate/code/wait', null, body, options);
  }

  credentials(userID) {
    return this.ok('/credentials/list', 'credentials.list', { client_id: this.id, user_id: userID });
  }
}

/**
 * One HTTP exchange. A body that is not a string is sent as JSON.
 * @returns {Promise<{status: number, headers: Headers, text: string, json: any}>} json is undefined when the text is not JSON
 */
export async function request(base, path, { method = 'GET', headers = {}, body, signal } = {}) {
  const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const type = sent === undefined ? {} : { 'Content-Type': 'application/json' };
  const response = await fetch(base + path, { method, headers: { ...type, ...headers }, body: sent, signal, redirect: 'manual' });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parsed(text) };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Asserts that an answer is an error as the contract words errors. */
export function assertError(answer, status, code) {
  const got = `${answer.status} ${answer.text}`;
  assert.equal(answer.status, status, `got ${got}, want ${status} ${code}`);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/json\b/, `content type of ${got}`);
  assert.equal(typeof answer.json?.code, 'string', `code of ${got}`);
  assert.equal(typeof answer.json?.message, 'string', `message of ${got}`);
  assert.notEqual(answer.json.message, '', `message of ${got}`);
  if (code) assert.equal(answer.json.code, code, `got ${got}, want code ${code}`);
}

/** Verifies a result JWT against /certs and returns {header, claims}. */
export async function verifiedJWT(jwt, base = url) {
  const [head, body, signature] = jwt.split('.');
  const header = decode(head);
  assert.equal(header.alg, 'ES256');
  assert.equal(header.typ, 'JWT');
  const certs = await request(base, `/certs?kid=${header.kid}`);
  assert.equal(certs.status, 200, `certs: ${certs.status} ${certs.text}`);
  const key = { key: createPublicKey(certs.text), dsaEncoding: 'ieee-p1363' };
  assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url')), 'signature of the JWT');
  return { header, claims: decode(body) };
}

/** Asserts an AuthenticationResponse and its JWT; returns the JWT's claims. */
export async function assertSignedIn(response, { client, username, credentialType = 'fido2', base = url }) {
  assert.equal(response.is_authenticated, true);
  assert.equal(response.client.id, client);
  assert.equal(response.user.username, username);
  assert.match(response.user.namespace_id, /^[0-9a-f]{16}$/);
  assert.equal(response.credential.type, credentialType);
  assert.equal(response.credential.id, response.credential.uuid);
  const { header, claims } = await verifiedJWT(response.jwt, base);
  assert.ok(header.kid, 'kid of the JWT');
  assert.equal(claims.aud, client);
  assert.equal(claims.udata, username);
  assert.equal(claims.sub, response.user.id);
  assert.equal(claims.nid, response.user.namespace_id);
  assert.equal(claims.action, 'login');
  assert.equal(claims.iss, base);
  assert.equal(claims.exp - claims.iat, 600, 'life of the JWT in seconds');
  for (const name of ['jti', 'sid', 'amr', 'acr', 'auth_time']) assert.ok(claims[name], `claim ${name}`);
  return claims;
}

/**
 * Lets the server catch up: whatever was sent to it before these exchanges has
 * long been read when the last of them is answered. Held waits give no sign of
 * being held, so this is the event to wait for.
 */
export async function caughtUp(base = url, exchanges = 8) {
  for (let i = 0; i < exchanges; i++) await request(base, '/livez');
}
