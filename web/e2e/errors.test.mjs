// Every error is JSON with code and message, on every path, and tells nothing
// about the program or about what was sent.

import assert from 'node:assert/strict';
import { describe, it, before } from 'node:test';
import { Native, assertError, request } from './lib/native.mjs';
import { createClient, newName, url } from './lib/nod.mjs';

/** @type {Native} */ let backend;

before(async () => {
  backend = new Native(await createClient({ name: 'Backend' }));
});

const secret = 'hunter2-do-not-echo';
const tellTale = /json:|invalid character|unmarshal|cannot|goroutine|panic|sql|EOF|\.go:/i;

/** Asserts an error that names neither the secret nor the program's insides. */
function assertDiscreet(answer, status, ...codes) {
  assertError(answer, status);
  if (codes.length > 0) assert.ok(codes.includes(answer.json.code), `got ${answer.json.code}, want one of ${codes}`);
  assert.ok(!answer.text.includes(secret), `echoes what was sent: ${answer.text}`);
  assert.doesNotMatch(answer.text, tellTale);
}

for (const prefix of ['', '/api/native']) {
  describe(`errors under ${prefix || '/'}`, () => {
    const at = (path, options) => request(url, prefix + path, options);
    const headers = (scope) => ({ Authorization: `Bearer ${backend.token(scope)}`, 'X-Client-ID': backend.id });

    it('404 for paths nobody serves', async () => {
      assertDiscreet(await at('/nowhere'), 404, 'not_found');
      assertDiscreet(await at('/nowhere', { method: 'POST', body: {} }), 404, 'not_found');
      assertDiscreet(await at('/codes/medium/generate', { method: 'POST', body: { client_id: backend.id }, headers: headers('codes.generate') }), 404);
    });

    for (const path of ['/register/password', '/authenticate/password', '/credentials/authid/init', '/credentials/authid/evaluate', '/register/public-key/init']) {
      it(`404 for ${path}, which is out of scope`, async () => {
        assertDiscreet(await at(path, { method: 'POST', body: { client_id: backend.id, username: 'a', password: secret } }), 404, 'not_found');
      });
    }

    it('405 for the wrong method', async () => {
      for (const [method, path] of [['GET', '/codes/short/generate'], ['GET', '/authenticate/code/wait'], ['DELETE', '/certs'], ['PATCH', '/manage/users']]) {
        assertDiscreet(await at(path, { method }), 405, 'operation_not_allowed');
      }
    });

    it('413 for a body above 16 KiB', async () => {
      const body = { client_id: backend.id, username: secret, authentication_code: { code: 'x'.repeat(20_000), type: 'long' } };
      assertDiscreet(await at('/authenticate/code/wait', { method: 'POST', body }), 413, 'request_validation_error');
      assertDiscreet(await at('/codes/short/generate', { method: 'POST', body, headers: headers('codes.generate') }), 413, 'request_validation_error');
    });

    it('413 for a passkey ceremony above 64 KiB, and not below', async () => {
      const body = (size) => ({ client_id: backend.id, username: 'a', assertion_payload: { challenge: 'x', signature: 'A'.repeat(size) } });
      assertDiscreet(await at('/authenticate/fido2/complete', { method: 'POST', body: body(70_000) }), 413, 'request_validation_error');
      const below = await at('/authenticate/fido2/complete', { method: 'POST', body: body(40_000) });
      assert.notEqual(below.status, 413);
      assertDiscreet(below, below.status);
    });

    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      it(`415 for ${type}`, async () => {
        const body = JSON.stringify({ client_id: backend.id, username: 'a', authentication_code: { code: secret, type: 'short' } });
        assertDiscreet(await at('/authenticate/code/wait', { method: 'POST', body, headers: { 'Content-Type': type } }), 415, 'request_validation_error');
      });
    }

    it('400 for an empty body', async () => {
      const token = { headers: { ...headers('codes.generate'), 'Content-Type': 'application/json' } };
      assertDiscreet(await at('/codes/short/generate', { method: 'POST', ...token }), 400, 'missing_body');
      assertDiscreet(await at('/authenticate/code/wait', { method: 'POST', headers: { 'Content-Type': 'application/json' } }), 400, 'missing_body');
    });

    for (const body of [`{"username":"${secret}"`, `"${secret}"`, `["${secret}"]`, 'null', `{"client_id":{"a":"${secret}"}}`, `{} {"a":"${secret}"}`, '\u0000']) {
      it(`400 for ${JSON.stringify(body)}`, async () => {
        const answer = await at('/authenticate/code/wait', { method: 'POST', body });
        assertDiscreet(answer, 400, 'bad_request', 'request_validation_error', 'missing_parameter', 'missing_body');
      });
    }

    it('400 for missing parameters', async () => {
      const { username } = await backend.createUser(newName('user'));
      const bodies = [{ client_id: backend.id, username }, { client_id: backend.id, username, authentication_code: { type: 'short' } }, { client_id: backend.id, authentication_code: { code: '123456', type: 'short' } }];
      for (const body of bodies) {
        assertDiscreet(await at('/authenticate/code/wait', { method: 'POST', body }), 400, 'missing_parameter', 'request_validation_error', 'username_empty');
      }
    });

    it('404 for a client nobody registered', async () => {
      const body = { client_id: secret, username: 'a', authentication_code: { code: '123456', type: 'short' } };
      const answer = await at('/authenticate/code/wait', { method: 'POST', body });
      assertDiscreet(answer, answer.status);
      assert.ok([401, 404].includes(answer.status), `got ${answer.status} ${answer.text}`);
    });
  });
}

describe('pages and health', () => {
  it('a page nobody serves is HTML only where that is preferred', async () => {
    const page = await request(url, '/nowhere', { headers: { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
    assert.equal(page.status, 404);
    assert.match(page.headers.get('content-type'), /^text\/html\b/);
    const anything = await request(url, '/nowhere', { headers: { Accept: '*/*' } });
    assertError(anything, 404, 'not_found');
  });

  for (const path of ['/livez', '/readyz']) {
    it(`${path} answers without authentication`, async () => {
      assert.equal((await request(url, path)).status, 200);
    });
  }
});
