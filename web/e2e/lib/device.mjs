// A new device as its backend sees it: it asks for a sign-in through the native
// API and holds a wait open until a phone has decided.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { assertError, assertSignedIn, request } from './native.mjs';

/** What the device claims about itself; the review card shows it. */
export const about = {
  device_name: 'Living-room TV',
  binding_message: 'Row 7, seat 12',
  requester_ip: '203.0.113.7',
  requester_user_agent: 'Mozilla/5.0 (Linux; Android 12; BRAVIA 4K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 TV Safari/537.36',
};

// What a failed test leaves waiting must not keep the script alive.
const end = new AbortController();
after(() => end.abort());

export class NewDevice {
  /**
   * Asks, and starts to wait.
   * @param {import('./native.mjs').Native} client
   * @param {string} username
   * @param {{type?: string}} options and what else generate takes
   */
  static async ask(client, username, { type = 'short', ...more } = {}) {
    return new NewDevice(client, username, type, await client.generate(username, { type, ...about, ...more }));
  }

  constructor(client, username, type, asked) {
    Object.assign(this, { client, username, type });
    this.code = asked.code;
    this.approvalURL = asked.approval_url;
    this.matchNumber = asked.match_number;
    this.requestID = asked.request_id;
    this.push = asked.push;
    this.waiting = client.wait(username, asked.code, { type, signal: end.signal });
    this.waiting.catch(() => {}); // whoever awaits it is told
  }

  /** Asserts that a passkey let the device in; returns the claims of its JWT. */
  async assertLetIn() {
    const answer = await this.waiting;
    assert.equal(answer.status, 200, `the device got ${answer.status} ${answer.text}`);
    const claims = await assertSignedIn(answer.json, { client: this.client.id, username: this.username });
    assert.ok(Array.isArray(claims.amr) && claims.amr.length > 0, `amr ${claims.amr}`);
    return claims;
  }

  /** Asserts that the device was refused. */
  async assertTurnedAway() {
    assertError(await this.waiting, 403, 'failed_to_authenticate');
  }

  /** Asserts that nobody has decided. */
  async assertPending() {
    const looked = await this.client.wait(this.username, this.code, { type: this.type, no_wait: true });
    assertError(looked, 400, 'remote_session_in_progress');
  }

  /** Where the request stands, as soon as that is newer. */
  async state(since = 0) {
    const path = `/requests/${this.requestID}/state?since=${since}`;
    const answer = await request(this.client.base, path, { headers: { Authorization: `Code ${this.code}` }, signal: end.signal });
    assert.equal(answer.status, 200, `GET ${path}: got ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /** Waits until the request stands like this. */
  async awaitState(want) {
    for (let now = await this.state(); now.state !== want; now = await this.state(now.version)) {
      assert.ok(['pending', 'opened'].includes(now.state), `the request is ${now.state}, want ${want}`);
    }
  }

  /** Waits until the prompt got that far, which is no news that a call is held for. */
  async awaitPush(want) {
    for (let now = await this.state(); now.push !== want; now = await this.state()) {
      assert.ok(['queued', 'sent'].includes(now.push), `push is ${now.push}, want ${want}`);
      await setTimeout(50);
    }
  }

  /** Ends what a test leaves undecided. */
  async abandon() {
    await this.client.invalidateAll(this.username, { type: this.type });
    await this.waiting;
  }
}
