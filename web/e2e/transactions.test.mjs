// Transactions by the vendor's own SDKs, unmodified: its server SDK creates and
// verifies them, its browser SDK confirms them in Chromium on a page of another
// origin. And what it has nothing for: the card of nod's own, and the receipt.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Browser, launch, serveOrigin } from './lib/browser.mjs';
import { Native, assertError, request, verifiedJWT } from './lib/native.mjs';
import { createClient, newName, setting, url } from './lib/nod.mjs';
import { Phone, assertFairChoice } from './lib/phone.mjs';
import { load, versions, withBadSignature, withClaims } from './lib/sdk.mjs';
import * as web from './lib/web-sdk.mjs';

const transfer = 'Transfer 20.00 € to Bob & Söhne\n\tInvoice 17: <b>urgent</b>?~';
const scopes = ['users.create', 'tx.create', 'receipts.read', 'auth.temporary', 'credentials.list'];

let chrome, app, shop, webClient, backendClient;
/** @type {Native} */ let backend;
/** @type {Browser} */ let page;

before(async () => {
  const script = await web.bundled();
  [app, shop] = await Promise.all([script, script].map(serveOrigin));
  webClient = await createClient({ name: 'Acme Shop', type: 'directweb', scopes: [], flags: ['--open-registration', '--origin', app.origin] });
  await createClient({ name: 'Other', type: 'directweb', scopes: [], flags: ['--origin', shop.origin] });
  backendClient = await createClient({ name: 'Acme Bank', scopes });
  backend = new Native(backendClient);
  chrome = await launch();
  page = await visit(app.origin);
});

beforeEach(() => page.forgetPasskeys());

after(async () => {
  await chrome?.close();
  await Promise.all([app, shop].map((server) => server?.close()));
});

async function visit(origin) {
  const browser = await Browser.open(chrome);
  await browser.page.goto(`${origin}/`);
  return browser;
}

/** Calls one method of the SDK in the page: {value} or {error}. */
const sdk = (browser, method, ...args) => web.call(browser, webClient, method, ...args);

/** Like sdk, and the call must succeed. */
const works = (browser, method, ...args) => web.works(browser, webClient, method, ...args);

/** A new user with a passkey on that browser's authenticator. */
async function registered(browser = page) {
  const username = newName('user');
  const { user } = await works(browser, 'registerWithFido2', username, { credential_name: 'Laptop' });
  return { username, id: user.id };
}

/** The server SDK of a version, for the backend. */
const manager = (version) => new (load(version).LoginIdManagement)(backendClient.client_id, backendClient.private_key, url);

/**
 * Asserts what the token says, and that the SDK believes it for this payload and no
 * other. For each try it fetches the key anew, so only a thorough one changes every byte.
 */
async function assertConfirmed(jwt, payload, { user, client, version = '0.8.3', thorough = false }) {
  const { claims } = await verifiedJWT(jwt);
  assert.equal(claims.action, 'transaction');
  assert.equal(claims.udata, user.username);
  assert.equal(claims.aud, client);
  const verifier = manager(version);
  assert.equal(await verifier.verifyTransaction(jwt, payload), true);
  assert.equal(await verifier.verifyToken(jwt, user.username), true);
  const last = payload.length - 1;
  const places = thorough ? [...payload].keys() : [0, Math.floor(last / 2), last];
  for (const i of places) {
    const changed = payload.slice(0, i) + String.fromCharCode(payload.charCodeAt(i) ^ 1) + payload.slice(i + 1);
    assert.equal(await verifier.verifyTransaction(jwt, changed), false, `payload changed at ${i}`);
  }
  assert.equal(await verifier.verifyTransaction(jwt, `${payload} `), false);
  assert.equal(await verifier.verifyTransaction(withBadSignature(jwt), payload), false, 'another signature');
  for (const name of ['tx_hash', 'nonce', 'server_nonce', 'udata']) {
    assert.equal(await verifier.verifyTransaction(withClaims(jwt, { [name]: `${claims[name]}x` }), payload), false, `another ${name}`);
  }
  return claims;
}

/** Runs nod receipt verify on a text: {status, out, err}. */
function verifyReceipt(text, ...flags) {
  return new Promise((resolve) => {
    const child = execFile(setting('E2E_NOD'), ['receipt', 'verify', ...flags, '-'], { env: {} },
      (failed, out, err) => resolve({ status: failed?.code ?? 0, out, err }));
    child.stdin.end(text);
  });
}

async function receiptOf(id) {
  const headers = { Authorization: `Bearer ${backend.token('receipts.read')}` };
  const answer = await request(url, `/receipts/${id}`, { headers });
  assert.equal(answer.status, 200, answer.text);
  return answer.text;
}

for (const version of versions) {
  describe(`node-sdk ${version}`, () => {
    for (const prefix of ['', '/api/native']) {
      it(`creates at ${prefix || '/'} what the browser SDK confirms`, async () => {
        const user = await registered();
        const server = new (load(version).LoginIdManagement)(backendClient.client_id, backendClient.private_key, url + prefix);
        for (const args of [[transfer], [transfer, user.username], [transfer, user.username, 'order-17']]) {
          const thorough = prefix === '' && args.length === 1;
          const id = await server.createTx(...args);
          assert.match(id, /^[0-9a-f-]{36}$/);
          const { jwt, success } = await works(page, 'confirmTransaction', user.username, id);
          assert.equal(success, true);
          const claims = await assertConfirmed(jwt, transfer, { user, client: webClient.client_id, version, thorough });
          if (args[2]) assert.equal(claims.nonce, args[2]);
          const again = await sdk(page, 'confirmTransaction', user.username, id);
          assert.equal(again.error?.code, 'transaction_decided');
        }
        page.assertNoProblems(/409 \(Conflict\)/);
      });
    }
  });
}

describe('the browser SDK', () => {
  it('creates and confirms with the token of a backend, which goes into its later calls too', async () => {
    const user = await registered();
    const token = manager('0.8.3').generateTxAuthToken(transfer, user.username);
    const { jwt } = await works(page, 'createAndConfirmTransaction', user.username, transfer, { authorization_token: token });
    await assertConfirmed(jwt, transfer, { user, client: webClient.client_id });
    const named = manager('0.8.3').generateTxAuthToken(transfer);
    const { jwt: second } = await works(page, 'createAndConfirmTransaction', user.username, transfer, { authorization_token: named, nonce: 'my-nonce' });
    assert.equal((await verifiedJWT(second)).claims.nonce, 'my-nonce');
    page.assertNoProblems();
    await works(page, 'authenticateWithFido2', user.username); // the token in its head does no harm
  });

  it('creates nothing without a token, or with that of another payload', async () => {
    const user = await registered();
    const browser = await visit(app.origin); // whose SDK has no token in its head yet
    assert.equal((await sdk(browser, 'createAndConfirmTransaction', user.username, transfer, {})).error?.code, 'unauthorized');
    const token = manager('0.8.3').generateTxAuthToken('something else');
    const { error } = await sdk(browser, 'createAndConfirmTransaction', user.username, transfer, { authorization_token: token });
    assert.equal(error?.code, 'forbidden');
    await browser.close();
  });

  it('does not confirm what is meant for somebody else, nor on a page of another client', async () => {
    const ada = await registered();
    const id = await manager('0.8.3').createTx(transfer, ada.username);
    const other = await visit(app.origin);
    const eve = await registered(other);
    assert.equal((await sdk(other, 'confirmTransaction', eve.username, id)).value, undefined);
    await other.close();
    const foreign = await visit(shop.origin);
    assert.equal((await sdk(foreign, 'confirmTransaction', ada.username, id)).value, undefined);
    await foreign.close();
    const { jwt } = await works(page, 'confirmTransaction', ada.username, id);
    await assertConfirmed(jwt, transfer, { user: ada, client: webClient.client_id });
    page.assertNoProblems();
  });

  it('does not confirm without user verification', async () => {
    const user = await registered();
    const id = await manager('0.8.3').createTx(transfer);
    await page.setUserVerified(false);
    const { error } = await sdk(page, 'confirmTransaction', user.username, id);
    await page.setUserVerified(true);
    assert.equal(error?.name, 'NavigatorError', `got ${JSON.stringify(error)}`);
    await works(page, 'confirmTransaction', user.username, id);
    page.assertNoProblems();
  });

  it('leaves a receipt of what it signed', async () => {
    const user = await registered();
    const id = await manager('0.8.3').createTx(transfer);
    const { jwt } = await works(page, 'confirmTransaction', user.username, id);
    const { claims } = await verifiedJWT(jwt);
    const text = await receiptOf(id);
    const { status, out } = await verifyReceipt(text, '--output', 'json', '--request', id);
    assert.equal(status, 0, out);
    const said = JSON.parse(out);
    assert.equal(said.agreed.context.tx_payload, transfer);
    assert.equal(said.tx_hash, claims.tx_hash);
    assert.equal(said.origin, app.origin);
    assert.equal(said.agreed.user_id, user.id);
    const { credentials: [key] } = await backend.credentials(user.id);
    assert.equal(key.fingerprint, said.fingerprint);
    assert.equal((await verifyReceipt(text, '--passkey', key.fingerprint)).status, 0);
    const changed = text.replace('urgent', 'Urgent');
    const refused = await verifyReceipt(changed);
    assert.equal(refused.status, 1, refused.out);
    assert.match(refused.err, /does not verify/);
  });
});

describe("nod's own card", () => {
  /** Creates a transaction by hand: the SDK keeps the URL to itself. */
  async function created(body) {
    const full = { client_id: backend.id, tx_payload: transfer, nonce: 'n-1', ...body };
    const hash = Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(full.tx_payload))).toString('base64url');
    const headers = { Authorization: `Bearer ${backend.token('tx.create', { payload_hash: hash })}` };
    return backend.ok('/tx', null, full, { headers });
  }

  it('shows the payload to the letter, and its token is waited for', async () => {
    const phone = await Phone.enrolled(chrome);
    const tx = await created({ username: phone.username });
    const waiting = backend.ok('/tx/wait', null, { client_id: backend.id, code: tx.code });
    await phone.review(tx.url);
    await phone.heading('Approve this transaction?').waitFor();
    const payload = phone.page.locator('#details p');
    assert.equal(await payload.textContent(), transfer);
    assert.equal(await payload.evaluate((p) => getComputedStyle(p).whiteSpace), 'pre-wrap');
    await assertFairChoice(phone);
    await phone.inspect('transaction');
    await phone.approve();
    const { jwt } = await waiting;
    await assertConfirmed(jwt, transfer, { user: phone, client: backend.id });
    await phone.page.getByText('You agreed to').waitFor();
    await phone.inspect('transaction-result');

    const [download] = await Promise.all([
      phone.page.waitForEvent('download'), phone.page.getByRole('link', { name: 'Download receipt' }).click(),
    ]);
    assert.equal(download.suggestedFilename(), `nod-receipt-${tx.id}.json`);
    const text = await readFile(await download.path(), 'utf8');
    assert.equal(text, await receiptOf(tx.id));
    const { status, out } = await verifyReceipt(text, '--request', tx.id);
    assert.equal(status, 0, out);
    assert.match(out, new RegExp(`^This receipt verifies\\. ${phone.username} `));
    if (process.env.NOD_SCREENSHOTS) await writeFile(path.join(process.env.NOD_SCREENSHOTS, 'receipt.json'), text);

    await phone.open('/activity');
    await phone.page.getByRole('link', { name: 'Download receipt' }).first().waitFor();
    await phone.inspect('activity-receipt');
    await phone.close();
  });

  it('lets a long one scroll in its frame, and says that there is more', async () => {
    const phone = await Phone.enrolled(chrome);
    const long = Array.from({ length: 60 }, (_, i) => `${i + 1}. Item number ${i + 1}, at 9.99 EUR`).join('\n');
    const tx = await created({ tx_payload: long, tx_type: 'order', requester_ip: '203.0.113.7' });
    await phone.review(tx.url);
    await phone.page.getByText('There is more.').waitFor();
    assert.equal((await phone.facts()).Kind, 'order');
    await phone.inspect('transaction-long');
    await phone.decline();
    assertError(await backend.post('/tx/wait', null, { client_id: backend.id, code: tx.code }), 403, 'failed_to_authenticate');
    assert.equal(await phone.page.getByRole('link', { name: 'Download receipt' }).count(), 0);
    await phone.close();
  });
});
