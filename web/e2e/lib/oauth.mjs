// A client of the standard faces by hand: forms in, JSON out, and polls that the
// server holds. The unmodified libraries are tested elsewhere; here it is the other
// side of a browser.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { cli, url } from './nod.mjs';

const grants = { device: 'urn:ietf:params:oauth:grant-type:device_code', ciba: 'urn:openid:params:grant-type:ciba' };

// What a failed test leaves waiting must not keep the script alive.
const end = new AbortController();
after(() => end.abort());

/** One registered OAuth client. */
export class OAuthClient {
  /** Registers a device: it proves nothing. */
  static device(name, ...flags) {
    return OAuthClient.#create(name, '--grant', 'device_code', '--auth', 'none', ...flags);
  }

  /** Registers a backend that asks people by their names. */
  static backend(name, ...flags) {
    return OAuthClient.#create(name, '--grant', 'ciba', ...flags);
  }

  static async #create(name, ...flags) {
    return new OAuthClient(await cli('client', 'create', '--name', name, '--type', 'oauth', ...flags));
  }

  constructor({ client_id: id, client_secret: secret }) {
    Object.assign(this, { id, secret });
  }

  /** Posts a form. Members that are no text are sent as JSON. */
  async post(path, members, headers = {}) {
    const form = new URLSearchParams(this.secret ? {} : { client_id: this.id });
    for (const [name, value] of Object.entries(members)) form.set(name, typeof value === 'string' ? value : JSON.stringify(value));
    const proof = Buffer.from(`${encodeURIComponent(this.id)}:${encodeURIComponent(this.secret)}`).toString('base64');
    const response = await fetch(url + path, {
      method: 'POST', body: form, signal: end.signal, headers: this.secret ? { ...headers, Authorization: `Basic ${proof}` } : headers,
    });
    return { status: response.status, json: await response.json() };
  }

  /** A device asks whoever types its code. */
  async ask(members = {}, headers = { 'User-Agent': television }) {
    return this.#asked('device', await this.post('/oauth/device_authorization', { scope: 'openid', ...members }, headers));
  }

  /** A backend asks somebody it knows. */
  async askFor(username, members = {}) {
    return this.#asked('ciba', await this.post('/oauth/bc-authorize', { scope: 'openid', login_hint: username, ...members }));
  }

  #asked(grant, { status, json }) {
    assert.equal(status, 200, `asked, and got ${status} ${JSON.stringify(json)}`);
    return new Asked(this, grant, json);
  }
}

const television = 'Mozilla/5.0 (Linux; Android 12; BRAVIA 4K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 TV Safari/537.36';

/** A question that is waiting, and polled for. */
class Asked {
  constructor(client, grant, answer) {
    Object.assign(this, { client, grant, answer });
    this.userCode = answer.user_code;
    this.link = answer.verification_uri_complete;
    this.outcome = this.#poll();
    this.outcome.catch(() => {}); // whoever awaits it is told
  }

  /** Polls until somebody has decided, or nobody has in time. */
  async #poll() {
    const { device_code, auth_req_id, interval } = this.answer;
    for (;;) {
      const code = this.grant === 'device' ? { device_code } : { auth_req_id };
      const got = await this.client.post('/oauth/token', { grant_type: grants[this.grant], ...code });
      if (got.json.error !== 'authorization_pending') return got;
      await setTimeout(interval * 1000, undefined, { signal: end.signal });
    }
  }

  /** Asserts that tokens came; returns the claims of the access token. */
  async assertLetIn() {
    const { status, json } = await this.outcome;
    assert.equal(status, 200, `the client got ${status} ${JSON.stringify(json)}`);
    return JSON.parse(Buffer.from(json.access_token.split('.')[1], 'base64url').toString('utf8'));
  }

  /** Asserts that it ended with this error. */
  async assertRefused(error) {
    const { status, json } = await this.outcome;
    assert.equal(json.error, error, `the client got ${status} ${JSON.stringify(json)}`);
    assert.equal(json.access_token, undefined);
  }
}
