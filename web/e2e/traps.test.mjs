// What the vendor's clients do that a server has to survive, and what bad input
// gets, exchange by exchange. The section names are those of the contract.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it, before } from 'node:test';
import { Native, assertError, assertSignedIn, caughtUp, newNonce, nowSeconds, request, signToken } from './lib/native.mjs';
import { allScopes, createClient, newName, url } from './lib/nod.mjs';

/** @type {Native} */ let backend;
/** @type {Native} */ let web;
/** @type {Native} */ let foreign;

before(async () => {
  backend = new Native(await createClient({ name: 'Backend' }));
  web = new Native(await createClient({ name: 'Web', type: 'directweb', scopes: ['auth.temporary', 'auth.login', 'credentials.list'] }));
  foreign = new Native(await createClient({ name: 'Foreign', flags: ['--namespace', newName('elsewhere')] }));
});

const bearer = (token) => ({ Authorization: `Bearer ${token}` });

/** A user with a code that is already approved: whoever may wait gets a JWT at once. */
async function approvedCode() {
  const { username } = await backend.createUser(newName('user'));
  const { code } = await backend.generate(username, { type: 'long', authorize: true });
  return { username, code };
}

describe('header leak', () => {
  const leaks = {
    'of another scope': () => backend.token('users.create'),
    'long past': () => backend.token('auth.temporary', { iat: nowSeconds() - 86_400 }),
    'from the future': () => backend.token('auth.temporary', { iat: nowSeconds() + 86_400 }),
    'with a nonce already used': async () => {
      const token = backend.token('users.retrieve');
      await backend.post('/manage/users/retrieve', null, { username: 'nobody' }, { headers: bearer(token) });
      return token;
    },
    'of auth.temporary with a nonce already used': async () => {
      const token = backend.token('auth.temporary');
      const { username, code } = await approvedCode();
      assert.equal((await backend.wait(username, code, { type: 'long', headers: bearer(token) })).status, 200);
      return token;
    },
  };

  for (const [name, makeToken] of Object.entries(leaks)) {
    it(`a token ${name} counts as absent where tokens are optional`, async () => {
      const token = await makeToken();
      const { username, code } = await approvedCode();
      const waited = await backend.wait(username, code, { type: 'long', headers: bearer(token) });
      assert.equal(waited.status, 200, `wait: got ${waited.status} ${waited.text}`);
      await assertSignedIn(waited.json, { client: backend.id, username, credentialType: 'code' });
      const init = await request(url, '/authenticate/fido2/init',
        { method: 'POST', body: { client_id: backend.id, username }, headers: bearer(token) });
      assert.equal(init.status, 200, `authenticate/fido2/init: got ${init.status} ${init.text}`);
    });
  }

  for (const token of ['garbage', 'a.b.c', '']) {
    it(`endpoints that need no token never read ${JSON.stringify(token)}`, async () => {
      const certs = await request(url, '/certs', { headers: { ...bearer(token), 'X-Client-ID': 'nobody' } });
      assert.equal(certs.status, 200);
      assert.match(certs.headers.get('content-type'), /^text\/plain\b/);
      assert.match(certs.text, /^-----BEGIN PUBLIC KEY-----\n[\s\S]+\n-----END PUBLIC KEY-----\n$/);
      assert.doesNotMatch(certs.text, /\r/);
      for (const path of ['/authenticate/fido2/complete', '/register/fido2/complete', '/credentials/fido2/complete', '/codes/short/generate/fido2/complete']) {
        const answer = await request(url, path, { method: 'POST', body: { client_id: web.id, username: 'nobody' }, headers: bearer(token) });
        assert.ok(answer.status >= 400, `${path}: got ${answer.status}`);
        assertError(answer, answer.status);
        assert.ok(!['unauthorized', 'invalid_jwt', 'forbidden'].includes(answer.json.code), `${path} read the token: ${answer.text}`);
      }
    });
  }

  it('a foreign X-Client-ID is not asked when the body or the token names a client', async () => {
    const headers = { 'X-Client-ID': foreign.id };
    const user = await backend.createUser(newName('user'));
    await backend.ok('/codes/short/generate', 'codes.generate',
      { client_id: backend.id, user_id: user.id, purpose: 'temporary_authentication', authorize: false }, { headers });
    const listed = await request(url, `/credentials?user_id=${user.id}`, { headers: { ...headers, ...bearer(backend.token('credentials.list')) } });
    assert.equal(listed.status, 200, `GET /credentials: got ${listed.status} ${listed.text}`);
  });

  it('X-Client-ID names the client when nothing else does', async () => {
    const user = await backend.createUser(newName('user'));
    const token = backend.token('credentials.list', { client_id: undefined });
    const listed = await request(url, `/credentials?user_id=${user.id}`, { headers: { 'X-Client-ID': backend.id, ...bearer(token) } });
    assert.equal(listed.status, 200, `got ${listed.status} ${listed.text}`);
  });
});

describe('service tokens where one is needed', () => {
  const tokens = {
    'of another scope': [() => backend.token('codes.generate'), 403, 'forbidden'],
    'older than 300 s': [() => backend.token('users.retrieve', { iat: nowSeconds() - 310 }), 401],
    'more than 300 s ahead': [() => backend.token('users.retrieve', { iat: nowSeconds() + 310 }), 401],
    'without iat': [() => backend.token('users.retrieve', { iat: undefined }), 401],
    'without nonce': [() => backend.token('users.retrieve', { nonce: undefined }), 401],
    'signed by another client': [() => signToken(foreign.privateKey, { client_id: backend.id, type: 'users.retrieve', nonce: newNonce(), iat: nowSeconds() }), 401],
    'with alg none': [() => unsigned(), 401],
    'with HS256 over the public key': [() => hmacSigned(), 401],
    'that is no JWS': [() => 'garbage', 401],
  };
  for (const [name, [makeToken, status, code]] of Object.entries(tokens)) {
    it(`refuse one ${name}`, async () => {
      const answer = await request(url, '/manage/users/retrieve',
        { method: 'POST', body: { username: 'nobody' }, headers: { ...bearer(await makeToken()), 'X-Client-ID': backend.id } });
      assertError(answer, status, code);
    });
  }

  const claims = () => ({ client_id: backend.id, type: 'users.retrieve', nonce: newNonce(), iat: nowSeconds() });
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = () => `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims())}.`;
  async function hmacSigned() {
    const { text: pem } = await request(url, '/certs');
    const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims())}`;
    return `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`;
  }

  it('refuse none at all', async () => {
    assertError(await backend.post('/manage/users/retrieve', null, { username: 'nobody' }), 401, 'unauthorized');
  });

  it('accept one 290 s old, once', async () => {
    const headers = { ...bearer(backend.token('users.retrieve', { iat: nowSeconds() - 290 })), 'X-Client-ID': backend.id };
    const { username } = await backend.createUser(newName('user'));
    const first = await request(url, '/manage/users/retrieve', { method: 'POST', body: { username }, headers });
    assert.equal(first.status, 200, `got ${first.status} ${first.text}`);
    assertError(await request(url, '/manage/users/retrieve', { method: 'POST', body: { username }, headers }), 401);
  });

  it('accept the scope under its newer name, and an empty kid', async () => {
    const token = signToken(backend.privateKey,
      { client_id: backend.id, scope: 'users.retrieve', nonce: newNonce(), iat: nowSeconds() }, { alg: 'ES256', typ: 'JWT', kid: '' });
    const { username } = await backend.createUser(newName('user'));
    const answer = await request(url, '/manage/users/retrieve', { method: 'POST', body: { username }, headers: bearer(token) });
    assert.equal(answer.status, 200, `got ${answer.status} ${answer.text}`);
  });

  it('refuse a scope the client was not given', async () => {
    const modest = new Native(await createClient({ name: 'Modest', scopes: allScopes.filter((scope) => scope !== 'codes.authorize') }));
    const { username } = await modest.createUser(newName('user'));
    const { code } = await modest.generate(username);
    assertError(await modest.authorize(username, code), 403, 'forbidden');
    const born = await modest.post('/codes/short/generate', 'codes.generate',
      { client_id: modest.id, username, purpose: 'temporary_authentication', authorize: true });
    assertError(born, 403, 'forbidden');
  });

  it('refuse one that names somebody else than the body', async () => {
    const { username } = await backend.createUser(newName('user'));
    const body = { client_id: backend.id, username, purpose: 'temporary_authentication', authorize: false };
    for (const claim of [{ username: 'mallory' }, { udata: 'mallory' }, { user_id: '00000000-0000-4000-8000-000000000000' }]) {
      const answer = await request(url, '/codes/short/generate', { method: 'POST', body, headers: bearer(backend.token('codes.generate', claim)) });
      assert.ok(answer.status >= 400 && answer.status < 500, `${JSON.stringify(claim)}: got ${answer.status} ${answer.text}`);
      assertError(answer, answer.status);
    }
  });
});

describe('wait', () => {
  it('serves a management client its own codes', async () => {
    const { username, code } = await approvedCode();
    const waited = await backend.wait(username, code, { type: 'long' });
    await assertSignedIn(waited.json, { client: backend.id, username, credentialType: 'code' });
  });

  it('serves the web client of the same namespace', async () => {
    const { username, code } = await approvedCode();
    const waited = await web.wait(username, code, { type: 'long' });
    await assertSignedIn(waited.json, { client: web.id, username, credentialType: 'code' });
  });

  it('needs a wait token where the client says so', async () => {
    const strict = new Native(await createClient({ name: 'Strict', flags: ['--require-wait-token'] }));
    const { username, code } = await approvedCode();
    assertError(await strict.wait(username, code, { type: 'long' }), 401, 'unauthorized');
    const leaked = await strict.wait(username, code, { type: 'long', headers: bearer(strict.token('codes.generate')) });
    assert.ok([401, 403].includes(leaked.status), `with a leaked token: got ${leaked.status} ${leaked.text}`);
    const waited = await strict.wait(username, code, { type: 'long', headers: bearer(strict.token('auth.temporary')) });
    await assertSignedIn(waited.json, { client: strict.id, username, credentialType: 'code' });
  });

  it('looks once with no_wait', async () => {
    const { username } = await backend.createUser(newName('user'));
    const { code } = await backend.generate(username);
    assertError(await web.wait(username, code, { no_wait: true }), 400, 'remote_session_in_progress');
  });

  it('is replaced by a newer wait for the same code', async () => {
    const { username } = await backend.createUser(newName('user'));
    const { code } = await backend.generate(username);
    const older = web.wait(username, code);
    await caughtUp();
    const newer = web.wait(username, code);
    assertError(await older, 400, 'remote_session_timeout');
    assert.equal((await backend.authorize(username, code)).status, 200);
    await assertSignedIn((await newer).json, { client: web.id, username, credentialType: 'code' });
  });

  it('finds no code made to add a passkey', async () => {
    const { username } = await backend.createUser(newName('user'));
    const { code } = await backend.generate(username, { type: 'long', purpose: 'add_credential', authorize: true });
    assertError(await web.wait(username, code, { type: 'long' }), 404, 'verification_code_not_found');
  });

  it('tells a deactivated user apart only to the holder of a right code', async () => {
    const { username, code } = await approvedCode();
    const user = (await backend.retrieveUser(username)).json;
    const answer = await request(url, `/manage/users/${user.id}/deactivate`,
      { method: 'PUT', headers: { 'X-Client-ID': backend.id, ...bearer(backend.token('users.deactivate')) } });
    assert.equal(answer.json?.status, 'inactive', answer.text);
    assertError(await web.wait(username, `${code.slice(0, -4)}0000`, { type: 'long' }), 404, 'verification_code_not_found');
    const right = await web.wait(username, code, { type: 'long' });
    assert.ok(right.status === 403, `with the right code: got ${right.status} ${right.text}, want 403`);
  });

  it('answers unknown users, wrong codes, wrong types and other namespaces alike', async () => {
    const { username } = await backend.createUser(newName('user'));
    const { code } = await backend.generate(username);
    const wrong = code === '000000' ? '000001' : '000000';
    const answers = {
      'unknown user': await web.wait(newName('nobody'), wrong),
      'wrong code': await web.wait(username, wrong),
      'wrong type': await web.wait(username, code, { type: 'long' }),
      'other namespace': await foreign.wait(username, code),
    };
    const volatile = new Set(['date', 'x-request-id']);
    const shape = (answer) => ({
      status: answer.status, text: answer.text,
      headers: [...answer.headers].filter(([name]) => !volatile.has(name)),
    });
    for (const [name, answer] of Object.entries(answers)) {
      assertError(answer, 404, 'verification_code_not_found');
      assert.deepEqual(shape(answer), shape(answers['unknown user']), `${name} against unknown user`);
    }
  });

  it('stops guessing after a few tries', async () => {
    const { username } = await backend.createUser(newName('user'));
    const { code } = await backend.generate(username);
    const codes = Array.from({ length: 12 }, (_, i) => String(100_000 + i)).filter((guess) => guess !== code);
    const answers = [];
    for (const guess of codes) answers.push(await web.wait(username, guess, { no_wait: true }));
    const refused = answers.findIndex((answer) => answer.status === 429);
    assert.ok(refused > 0 && refused <= 10, `first 429 was number ${refused + 1}, want within 11`);
    for (const answer of answers.slice(0, refused)) assertError(answer, 404, 'verification_code_not_found');
    for (const answer of answers.slice(refused)) {
      assertError(answer, 429, 'remote_session_maximum_retry_attempts');
      assert.match(answer.headers.get('retry-after') ?? '', /^\d+$/);
    }
  });
});

describe('sign-in of somebody unknown', () => {
  it('starts like that of somebody known, with stable invented credentials', async () => {
    const name = newName('nobody');
    const init = () => request(url, '/authenticate/fido2/init', { method: 'POST', body: { client_id: web.id, username: name } });
    const [first, second] = [await init(), await init()];
    assert.equal(first.status, 200, first.text);
    const payloads = [first.json.assertion_payload, second.json.assertion_payload];
    assert.notEqual(payloads[0].challenge, payloads[1].challenge);
    // One list in 128 is left out: the browser SDK cannot read ids that end in zero bytes.
    assert.ok(payloads[0].allowCredentials === undefined || payloads[0].allowCredentials.length > 0, 'invented credentials');
    assert.deepEqual(payloads[0].allowCredentials, payloads[1].allowCredentials);
    assert.equal(payloads[0].userVerification, 'required');
    assert.equal(payloads[0].rpId, 'localhost');
  });

  it('gets challenges the vendor\'s decoder can read', async () => {
    // It drops zero bytes among the last two, about one challenge in 128.
    for (let i = 0; i < 200; i++) {
      const answer = await request(url, '/authenticate/fido2/init', { method: 'POST', body: { client_id: web.id, username: 'nobody' } });
      if (answer.status === 429) return;
      const challenge = Buffer.from(answer.json.assertion_payload.challenge, 'base64url');
      assert.ok(challenge.length >= 16, `challenge of ${challenge.length} bytes`);
      assert.ok(challenge.at(-1) !== 0 && challenge.at(-2) !== 0, `challenge ends in a zero byte: ${challenge.toString('hex')}`);
    }
  });
});
