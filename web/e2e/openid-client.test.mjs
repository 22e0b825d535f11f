// npm's openid-client, unmodified: the device grant and CIBA, with every way for a
// client to prove who it is, with and without DPoP. All questions are asked at the
// start, and all polls are held when the phone begins to answer.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as oidc from 'openid-client';
import { url } from './lib/nod.mjs';
import { Asking, Registration, expire, held, phone, username } from './lib/standard.mjs';

const kinds = [
  { auth: 'client_secret_basic', alg: 'ES256', dpop: false, grants: ['device', 'ciba'] },
  { auth: 'client_secret_basic', alg: 'RS256', dpop: true, grants: ['device', 'ciba'] },
  { auth: 'client_secret_post', alg: 'RS256', dpop: false, grants: ['device', 'ciba'] },
  { auth: 'client_secret_post', alg: 'ES256', dpop: true, grants: ['device', 'ciba'] },
  { auth: 'private_key_jwt', alg: 'ES256', dpop: false, grants: ['device', 'ciba'], algorithm: 'oauth2' },
  { auth: 'private_key_jwt', alg: 'RS256', dpop: true, grants: ['device', 'ciba'], algorithm: 'oauth2' },
  { auth: 'none', alg: 'RS256', dpop: false, grants: ['device'] },
  { auth: 'none', alg: 'ES256', dpop: true, grants: ['device'] },
];

const stories = kinds.flatMap((kind) => kind.grants.map((grant) => ({
  ...kind, grant, name: `${grant}, ${kind.auth}, ${kind.dpop ? 'DPoP' : 'Bearer'}, ID token ${kind.alg}`,
})));

/** How long the tokens may take after the approval's answer: milliseconds, on a busy machine. */
const wakeLimit = 1000;

let slowest = 0;
/** @type {Registration} */ let resource; // asks about tokens
/** @type {Registration} */ let stranger;
/** @type {Asking} */ let short; // runs out before the first answer

before(async () => {
  const registrations = new Map(await Promise.all(kinds.map(async (kind) => [kind, await Registration.create(kind)])));
  [resource, stranger] = await Promise.all([1, 2].map(() => Registration.create({ auth: 'client_secret_basic', alg: 'ES256' })));
  await Promise.all(stories.map(async (story) => {
    story.registration = registrations.get(kinds.find(({ auth, dpop }) => auth === story.auth && dpop === story.dpop));
    story.approved = await Asking.begin(story.registration, story.grant);
    story.denied = await Asking.begin(story.registration, story.grant);
  }));
  short = await Asking.begin(resource, 'ciba', { requested_expiry: '7' });
  await short.outcome.catch(() => {});
  await held(2 * stories.length);
});
after(() => console.log(`slowest tokens after the approval's answer: ${slowest.toFixed(1)} ms`));

for (const story of stories) {
  describe(story.name, () => {
    const isDPoP = story.dpop;
    let tokens;

    it('is not for another client', async () => {
      await story.approved.assertRefused(story.approved.poll(stranger), 'invalid_grant');
    });

    if (isDPoP) {
      it('is not for another key, nor for none', async () => {
        const { approved, registration } = story;
        await approved.assertRefused(approved.poll(registration, { DPoP: await registration.newProof() }), 'invalid_grant');
        await approved.assertRefused(approved.poll({ config: registration.config }), 'invalid_grant');
      });
    }

    it('has its tokens in the moment of the approval', async () => {
      await phone.approve(story.approved.question);
      const answered = performance.now();
      tokens = await story.approved.outcome;
      const took = story.approved.at - answered;
      slowest = Math.max(slowest, took);
      assert.ok(took < wakeLimit, `tokens after ${took} ms`);
      assert.equal(tokens.token_type, isDPoP ? 'dpop' : 'bearer');
      assert.ok(tokens.refresh_token);
      // The library has checked the signature, iss, aud, exp and iat.
      const { alg } = JSON.parse(Buffer.from(tokens.id_token.split('.')[0], 'base64url').toString('utf8'));
      assert.equal(alg, story.alg);
      const claims = tokens.claims();
      assert.deepEqual([claims.iss, claims.aud, claims.preferred_username], [url, story.registration.id, username]);
    });

    it('is redeemed once', async () => {
      await story.approved.assertRefused(story.approved.poll(story.registration), 'invalid_grant');
    });

    it('uses, asks about, refreshes and revokes its tokens', async () => {
      const { registration: { config, proof, id } } = story;
      const { sub } = tokens.claims();
      const user = await oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP: proof });
      assert.equal(user.preferred_username, username);
      await assertLive(tokens.access_token, { client_id: id, sub, username }, proof);

      const next = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: proof });
      assert.notEqual(next.refresh_token, tokens.refresh_token);
      assert.equal(next.claims().sub, sub);
      await oidc.fetchUserInfo(config, next.access_token, sub, { DPoP: proof });
      await assertLive(next.access_token, { client_id: id, sub, username }, proof);

      await oidc.tokenRevocation(config, next.refresh_token);
      for (const { access_token } of [tokens, next]) {
        assert.deepEqual(await oidc.tokenIntrospection(resource.config, access_token), { active: false });
      }
      await assert.rejects(oidc.fetchUserInfo(config, next.access_token, sub, { DPoP: proof }), { status: 401 });
    });

    it('hears a no', async () => {
      await phone.decline(story.denied.question);
      await story.denied.assertRefused(story.denied.outcome, 'access_denied');
    });
  });
}

/** Asserts what a resource is told about an access token. */
async function assertLive(token, want, proof) {
  const got = await oidc.tokenIntrospection(resource.config, token);
  assert.equal(got.active, true);
  assert.equal(got.token_type, proof ? 'DPoP' : 'Bearer');
  assert.equal(got.cnf?.jkt, await proof?.calculateThumbprint());
  for (const [name, value] of Object.entries(want)) assert.equal(got[name], value, name);
}

describe('a code that runs out while its poll is held', () => {
  it('is expired_token where a device polls', async () => {
    const asking = await Asking.begin(resource, 'device');
    const poll = asking.poll(resource);
    await held(1);
    await expire();
    await asking.assertRefused(poll, 'expired_token');
    await asking.assertRefused(asking.outcome, 'expired_token'); // and in its own time
  });

  it('is expired_token where a backend polls', () => short.assertRefused(short.outcome, 'expired_token'));
});
