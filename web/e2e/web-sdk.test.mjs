// The vendor's browser SDK, unmodified, in Chromium on a page of another origin.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Browser, launch, serveOrigin } from './lib/browser.mjs';
import { Native, assertError, assertSignedIn, caughtUp, request } from './lib/native.mjs';
import { createClient, newName, url } from './lib/nod.mjs';
import { load } from './lib/sdk.mjs';
import * as web from './lib/web-sdk.mjs';

const login = 'temporary_authentication';
const refused = /Failed to load resource|blocked by CORS policy/;

let chrome, app, stranger, other, webClient;
/** @type {Native} */ let backend;
/** @type {Browser} */ let phone;

before(async () => {
  const script = await web.bundled();
  [app, stranger, other] = await Promise.all([script, script, script].map(serveOrigin));
  const flags = ['--open-registration', '--origin'];
  webClient = await createClient({ name: 'Web', type: 'directweb', scopes: [], flags: [...flags, app.origin] });
  // Its origin is one that preflights allow and that the other client does not have.
  await createClient({ name: 'Other', type: 'directweb', scopes: [], flags: [...flags, other.origin] });
  backend = new Native(await createClient({ name: 'Backend' }));
  chrome = await launch();
  phone = await visit(app.origin);
});

beforeEach(() => phone.forgetPasskeys());

after(async () => {
  await chrome?.close();
  await Promise.all([app, stranger, other].map((server) => server?.close()));
});

/** Opens a context of its own at the origin. */
async function visit(origin, options) {
  const browser = await Browser.open(chrome, options);
  await browser.page.goto(`${origin}/`);
  return browser;
}

/** Calls one method of the SDK in the page: {value} or {error}. */
const sdk = (browser, method, ...args) => web.call(browser, webClient, method, ...args);

/** Like sdk, and the call must succeed. */
const works = (browser, method, ...args) => web.works(browser, webClient, method, ...args);

/** A new user with a passkey on that browser's authenticator. */
async function registered(browser = phone) {
  const username = newName('user');
  const response = await works(browser, 'registerWithFido2', username, { credential_name: 'Phone' });
  return { username, response };
}

describe('a page of an origin the client has', () => {
  it('registers', async () => {
    const { username, response } = await registered();
    const claims = await assertSignedIn(response, { client: webClient.client_id, username });
    assert.equal(response.client.type, 'directweb');
    assert.equal(response.credential.name, 'Phone');
    assert.equal(claims.nid, webClient.namespace_id);
    phone.assertNoProblems();
  });

  it('authenticates', async () => {
    const { username, response } = await registered();
    const again = await works(phone, 'authenticateWithFido2', username);
    const claims = await assertSignedIn(again, { client: webClient.client_id, username });
    assert.equal(again.credential.uuid, response.credential.uuid);
    assert.equal(claims.sub, response.user.id);
    assert.notEqual(again.jwt, response.jwt);
    phone.assertNoProblems();
  });

  it('does not authenticate without user verification', async () => {
    const { username } = await registered();
    await phone.setUserVerified(false);
    const { error } = await sdk(phone, 'authenticateWithFido2', username);
    await phone.setUserVerified(true);
    assert.equal(error?.name, 'NavigatorError', 'authenticated without user verification');
    phone.assertNoProblems();
    await works(phone, 'authenticateWithFido2', username);
  });

  it('does not authenticate by a page that asks for no user verification', async () => {
    const browser = await visit(app.origin);
    const { username } = await registered(browser);
    await browser.setUserVerified(false);
    await browser.page.evaluate(() => {
      const get = navigator.credentials.get.bind(navigator.credentials);
      navigator.credentials.get = ({ publicKey }) => get({ publicKey: { ...publicKey, userVerification: 'discouraged' } });
    });
    const { error } = await sdk(browser, 'authenticateWithFido2', username);
    assert.equal(error?.name, 'LoginSDK-Error', `got ${JSON.stringify(error)}, want nod's refusal`);
    browser.assertNoProblems(refused);
    await browser.close();
  });

  it('registers no name twice', async () => {
    const { username } = await registered();
    const second = await visit(app.origin);
    const { error } = await sdk(second, 'registerWithFido2', username);
    assert.equal(error?.code, 'user_already_registered');
    await second.close();
  });

  it('does not register a user who exists without a passkey', async () => {
    const { username } = await backend.createUser(newName('user'));
    const { value, error } = await sdk(phone, 'registerWithFido2', username);
    assert.equal(value, undefined);
    assert.ok(error.code, JSON.stringify(error));
    phone.assertNoProblems(refused);
  });

  for (const type of ['short', 'long', 'phrase']) {
    it(`lets another device in by a ${type} code it made itself`, async () => {
      const { username } = await registered();
      const made = await works(phone, 'selfGenerateCode', username, type, login);
      assert.equal(made.code_data.is_authorized, true);
      assert.ok(Date.parse(made.code_data.expire_at) > Date.now(), `expire_at ${made.code_data.expire_at}`);
      await assertSignedIn(made, { client: webClient.client_id, username });

      const device = await visit(app.origin, { authenticator: false });
      const response = await works(device, 'authenticateCodeWait', username, made.code_data.code, type);
      const claims = await assertSignedIn(response, { client: webClient.client_id, username });
      assert.equal(response.credential.uuid, made.credential.uuid, 'the passkey that vouched');
      assert.equal(claims.sub, made.user.id);
      device.assertNoProblems();
      await device.close();
    });
  }

  it('waits until the backend authorizes', async () => {
    const { username } = await registered();
    const { code } = await backend.generate(username);
    const device = await visit(app.origin, { authenticator: false });
    const waiting = works(device, 'authenticateCodeWait', username, code, 'short');
    await device.page.waitForFunction(() => performance.getEntriesByType('resource').length > 0);
    await caughtUp();
    assert.equal((await backend.authorize(username, code)).status, 200);
    await assertSignedIn(await waiting, { client: webClient.client_id, username, credentialType: 'code' });
    device.assertNoProblems();
    await device.close();
  });

  it('is told when its code is invalidated, with a token of another scope in its head', async () => {
    const { username } = await registered();
    const { code } = await backend.generate(username);
    const device = await visit(app.origin, { authenticator: false });
    const waiting = sdk(device, 'authenticateCodeWait', username, code, 'short', { authorization_token: backend.token('users.create') });
    await caughtUp();
    await backend.invalidateAll(username);
    assert.equal((await waiting).error?.code, 'failed_to_authenticate');
    await device.close();
  });

  it('adds a second passkey by code', async () => {
    const { username, response } = await registered();
    const { code_data: { code } } = await works(phone, 'selfGenerateCode', username, 'short', 'add_credential');
    const laptop = await visit(app.origin);
    const added = await works(laptop, 'addFido2CredentialWithCode', username, code, { credential_name: 'Laptop' });
    await assertSignedIn(added, { client: webClient.client_id, username });
    assert.notEqual(added.credential.uuid, response.credential.uuid);

    for (const [browser, uuid] of [[phone, response.credential.uuid], [laptop, added.credential.uuid]]) {
      const signedIn = await works(browser, 'authenticateWithFido2', username);
      assert.equal(signedIn.credential.uuid, uuid);
    }
    const spent = await sdk(await visit(app.origin), 'addFido2CredentialWithCode', username, code);
    assert.equal(spent.error?.code, 'verification_code_not_found', 'a code is spent by complete');

    const { credentials } = await backend.credentials(response.user.id);
    assert.deepEqual(credentials.map(({ name, type, status }) => [name, type, status]).sort(),
      [['Laptop', 'fido2', 'active'], ['Phone', 'fido2', 'active']]);
    laptop.assertNoProblems();
    await laptop.close();
  });

  it('adds no passkey by a code that is still pending', async () => {
    const { username } = await registered();
    const { code } = await backend.generate(username, { purpose: 'add_credential' });
    const laptop = await visit(app.origin);
    const { error } = await sdk(laptop, 'addFido2CredentialWithCode', username, code);
    assert.equal(error?.code, 'remote_session_in_progress');
    await laptop.close();
  });

  it('finds its passkeys renamed and revoked by the server SDK', async () => {
    const { username, response: { user, credential } } = await registered();
    const { LoginIdManagement } = load('0.8.3');
    const manager = new LoginIdManagement(backend.id, backend.privateKey, url);
    const renamed = await manager.renameCredential(user.id, credential.uuid, 'Old phone');
    assert.equal(renamed.credential.name, 'Old phone');
    const { credentials } = await manager.getCredentials(user.id);
    assert.deepEqual(credentials.map(({ uuid, name, status }) => ({ uuid, name, status })),
      [{ uuid: credential.uuid, name: 'Old phone', status: 'active' }]);

    const revoked = await manager.revokeCredential(user.id, credential.uuid);
    assert.equal(revoked.credential.status, 'revoked');
    const { value } = await sdk(phone, 'authenticateWithFido2', username);
    assert.equal(value, undefined, 'a revoked passkey signed in');
    phone.assertNoProblems(refused);
  });
});

describe('a page of an origin the client does not have', () => {
  for (const [name, origin] of [['nobody', () => stranger.origin], ['another client', () => other.origin]]) {
    it(`of ${name} registers nobody`, async () => {
      const username = newName('mallory');
      const browser = await visit(origin());
      const { value, error } = await sdk(browser, 'registerWithFido2', username);
      assert.equal(value, undefined);
      assert.ok(error);
      assertError(await backend.retrieveUser(username), 404, 'user_not_found');
      assert.deepEqual(await browser.passkeys(), []);
      await browser.close();
    });

    it(`of ${name} collects nothing, and leaves the code as it was`, async () => {
      const { username } = await registered();
      const { code } = await backend.generate(username, { type: 'long', authorize: true });
      const browser = await visit(origin(), { authenticator: false });
      const { value } = await sdk(browser, 'authenticateCodeWait', username, code, 'long', { no_wait: true });
      assert.equal(value, undefined);
      await browser.close();
      const device = await visit(app.origin, { authenticator: false });
      const response = await works(device, 'authenticateCodeWait', username, code, 'long');
      await assertSignedIn(response, { client: webClient.client_id, username, credentialType: 'code' });
      await device.close();
    });

    it(`of ${name} causes nothing by requests that need no preflight`, async () => {
      const { username } = await registered();
      const { code } = await backend.generate(username, { type: 'long', authorize: true });
      const browser = await visit(origin(), { authenticator: false });
      const body = { client_id: webClient.client_id, username, authentication_code: { code, type: 'long' }, no_wait: true };
      const sent = [];
      browser.page.on('request', (request) => sent.push(request.url()));
      const target = `${url}/authenticate/code/wait`;
      await browser.page.evaluate(async ([target, body]) => {
        for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
          // The browser keeps even the opaque answer from the page; what counts is what the request does.
          await fetch(target, { method: 'POST', mode: 'no-cors', headers: { 'Content-Type': type }, body }).catch(() => {});
        }
      }, [target, JSON.stringify(body)]);
      assert.deepEqual(sent, [target, target]);
      await browser.close();
      // Somebody else collects: had the page done it, this one would get nothing.
      const waited = await backend.wait(username, code, { type: 'long' });
      await assertSignedIn(waited.json ?? {}, { client: backend.id, username, credentialType: 'code' });
    });
  }

  it('is not named by a preflight, while those of clients are, with the headers the SDK sends', async () => {
    const preflight = (origin) => request(url, '/authenticate/code/wait', {
      method: 'OPTIONS',
      headers: { Origin: origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization,content-type' },
    });
    assert.equal((await preflight(stranger.origin)).headers.get('access-control-allow-origin'), null);
    for (const { origin } of [app, other]) {
      const { headers } = await preflight(origin);
      assert.equal(headers.get('access-control-allow-origin'), origin);
      const allowed = headers.get('access-control-allow-headers')?.toLowerCase().split(/,\s*/) ?? [];
      for (const name of ['authorization', 'content-type', 'x-client-id']) assert.ok(allowed.includes(name), `${name} in ${allowed}`);
      assert.equal(headers.get('access-control-allow-credentials'), null, 'cookies have no business here');
    }
  });
});
