// npm's openid-client as it is, and a phone that decides without a browser.

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import * as oidc from 'openid-client';
import { cli, setting, url } from './nod.mjs';

/** Calls the Go side: see controlStandard there. */
async function control(call, body) {
  const response = await fetch(`${setting('E2E_STANDARD')}/${call}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
  assert.ok(response.ok, `${call} ${JSON.stringify(body)}: ${await response.clone().text()}`);
  return response.text();
}

/** Whose phone it is. */
export const username = await control('username');

/** The owner of the phone approves or declines; returns when nod has taken the answer. */
export const phone = { approve: (question) => control('approve', question), decline: (question) => control('decline', question) };

/** Waits until the server holds so many polls. */
export const held = (count) => control('held', count);

/** Lets everything run out that waits for an answer. */
export const expire = () => control('expire', {});

/** One registered client, and the library set up for it. */
export class Registration {
  /**
   * Registers a client and discovers the server, as its library does.
   * @param {{auth: string, alg: string, dpop?: boolean, algorithm?: 'oidc' | 'oauth2'}} options alg is of its ID tokens
   */
  static async create({ auth, alg, dpop = false, algorithm = 'oidc' }) {
    const grants = auth === 'none' ? 'device_code' : 'device_code,ciba';
    const made = await cli('client', 'create', '--name', 'Acme TV', '--type', 'oauth', '--grant', grants, '--auth', auth, '--id-token-alg', alg, '--hold', '25s');
    const config = await oidc.discovery(new URL(url), made.client_id, { id_token_signed_response_alg: alg }, await authentication(auth, made), {
      algorithm, execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks], // http, and signatures of ID tokens are checked
    });
    const registration = new Registration();
    return Object.assign(registration, { auth, alg, dpop, id: made.client_id, config, proof: dpop ? await registration.newProof(config) : undefined });
  }

  /** A DPoP key of its own, with what the library keeps of it. */
  async newProof(config = this.config) {
    return oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  }
}

async function authentication(auth, { client_secret: secret, private_key: key }) {
  switch (auth) {
    case 'client_secret_basic': return oidc.ClientSecretBasic(secret);
    case 'client_secret_post': return oidc.ClientSecretPost(secret);
    case 'private_key_jwt': {
      const der = Buffer.from(key.replace(/-----[^-]+-----|\s/g, ''), 'base64');
      return oidc.PrivateKeyJwt(await webcrypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']));
    }
    default: return oidc.None();
  }
}

const grants = {
  device: {
    begin: (config, scope) => oidc.initiateDeviceAuthorization(config, { scope }),
    poll: oidc.pollDeviceAuthorizationGrant,
  },
  ciba: {
    begin: (config, scope, more) => oidc.initiateBackchannelAuthentication(config, { scope, login_hint: username, ...more }),
    poll: oidc.pollBackchannelAuthenticationGrant,
  },
};

let asked = 0;

/** Somebody asks, and the library polls. */
export class Asking {
  /** @param {Registration} registration @param {'device' | 'ciba'} grant */
  static async begin(registration, grant, more = {}) {
    const message = `Row ${++asked}`;
    const answer = await grants[grant].begin(registration.config, 'openid profile offline_access', { binding_message: message, ...more });
    assert.equal(answer.interval, 5);
    const asking = new Asking(registration, grant, answer, grant === 'device' ? { user_code: answer.user_code } : { message });
    return asking;
  }

  constructor(registration, grant, answer, question) {
    Object.assign(this, { registration, grant, answer, question });
    this.outcome = this.#poll();
    this.outcome.catch(() => {}); // whoever awaits it is told
  }

  async #poll() {
    // Its own deadline is expires_in, in the same moment as the server's.
    const signal = AbortSignal.timeout(60_000);
    try {
      return await this.poll(this.registration, { signal, interval: 5 });
    } finally {
      this.at = performance.now();
    }
  }

  /** Polls with the code, by default once and at once. */
  poll({ config, proof }, { interval = 0.02, DPoP = proof, signal } = {}) {
    const polling = grants[this.grant].poll(config, { ...this.answer, interval }, undefined, { DPoP, signal });
    polling.catch(() => {}); // whoever awaits it is told, also when the answer was first
    return polling;
  }

  /** Asserts that a poll is refused so. */
  async assertRefused(polling, code) {
    await assert.rejects(polling, (err) => {
      assert.equal(err.error, code, `got ${err.error ?? err}, want ${code}`);
      assert.equal(err.status, 400);
      return true;
    });
  }
}
