// Two sides of one sign-in: an application that waits through the API, and a
// phone whose owner decides in a real browser.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { NewDevice } from './lib/device.mjs';
import { Native, assertError, caughtUp } from './lib/native.mjs';
import { createClient, createUser, invite, newName, url } from './lib/nod.mjs';
import { Phone, assertFairChoice } from './lib/phone.mjs';

let chrome;
/** @type {Native} */ let backend;
/** @type {Phone} */ let phone; // enrolled, for tests that leave it as it was
/** @type {Phone[]} */ const phones = [];

before(async () => {
  backend = new Native(await createClient({ name: 'Acme TV' }));
  chrome = await launch();
  phone = await Phone.enrolled(chrome);
});
after(() => chrome?.close());
afterEach(async () => {
  await Promise.all(phones.splice(0).map((phone) => phone.close()));
});

/** Closes a phone after the test. */
function untilTheEnd(phone) {
  phones.push(phone);
  return phone;
}

/** An enrolled phone of the test's own. */
const ownPhone = async () => untilTheEnd(await Phone.enrolled(chrome));

/** A phone without a passkey. */
const freshPhone = async () => untilTheEnd(await Phone.open(chrome));

/** What the browser itself says of a request that a test has refused. */
const logged = /Failed to load resource/;

describe('enrolment', () => {
  it('sets a session that scripts cannot read', async () => {
    const cookies = await phone.browser.context.cookies(url);
    assert.ok(cookies.length > 0, 'a session cookie');
    for (const cookie of cookies) {
      assert.equal(cookie.httpOnly, true, cookie.name);
      assert.equal(cookie.sameSite, 'Strict', cookie.name);
    }
  });
});

describe('sign-in', () => {
  it('leads from a scanned code over the sign-in to the card', async () => {
    const phone = await ownPhone();
    await phone.signOut();
    const device = await NewDevice.ask(backend, phone.username);
    await phone.open(device.approvalURL);
    await phone.signIn();
    await phone.button('Decline').waitFor();
    assert.equal(phone.page.url(), device.approvalURL);
    await phone.approve();
    await device.assertLetIn();
    phone.assertNoProblems();
  });

  it('shows nothing of a request to whoever is not signed in', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    const stranger = await freshPhone();
    await stranger.open(device.approvalURL);
    await stranger.heading('Sign in').waitFor();
    const text = await stranger.page.textContent('body');
    for (const shown of ['Living-room TV', 'Row 7', phone.username]) assert.ok(!text.includes(shown), `shows ${shown}`);
    await stranger.inspect('signin');
    await phone.review(device.approvalURL);
    await phone.decline();
    await device.assertTurnedAway();
  });

  it('does not let somebody else decide', async () => {
    const other = await ownPhone();
    const device = await NewDevice.ask(backend, phone.username);
    await other.open(device.approvalURL);
    assert.equal(await other.button('Approve with passkey').count(), 0);
    await caughtUp();
    await phone.review(device.approvalURL);
    await phone.approve();
    await device.assertLetIn();
  });
});

describe('a scanned request', () => {
  it('shows what is asked and offers both answers alike', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    await phone.heading(/Living-room TV\?$/).waitFor();
    const facts = await phone.facts();
    assert.equal(facts.App, 'Acme TV');
    assert.equal(facts.Account, phone.username);
    assert.equal(facts.Device, 'Living-room TV');
    assert.equal(facts.Message, 'Row 7, seat 12');
    assert.match(facts.Address, /203\.0\.113\.7/);
    await phone.page.getByText('you can see the screen').waitFor();
    await assertFairChoice(phone);
    await phone.inspect('review-scanned');
    await phone.decline();
    await device.assertTurnedAway();
  });

  it('is approved with a passkey, and the device has its token', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    await phone.approve();
    const claims = await device.assertLetIn();
    assert.ok(Math.abs(claims.auth_time - claims.iat) < 60, `auth_time ${claims.auth_time}, iat ${claims.iat}`);
    await phone.inspect('result-approved');
    // The link has done its work: it leads to the result, not to another card.
    await phone.open(device.approvalURL);
    assert.equal(await phone.button('Approve with passkey').count(), 0);
  });

  it('is declined, and the device is told', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    await phone.decline();
    await device.assertTurnedAway();
    await phone.inspect('result-declined');
  });

  it('is not changed by being looked at', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    for (let i = 0; i < 3; i++) await phone.browser.context.request.get(device.approvalURL);
    await device.assertPending();
    await device.abandon();
  });

  it('cannot be waited on by its handle', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    const handle = new URL(device.approvalURL).pathname.split('/').at(-1);
    for (const type of ['short', 'long', 'phrase']) {
      assertError(await backend.wait(phone.username, handle, { type, no_wait: true }), 404, 'verification_code_not_found');
    }
    await phone.review(device.approvalURL);
    await phone.decline();
    await device.assertTurnedAway();
  });

  it('survives a passkey that fails to verify its user', async () => {
    const phone = await ownPhone();
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    await phone.browser.setUserVerified(false);
    await phone.pressApprove();
    await phone.page.getByRole('status').getByText('you can try again').waitFor();
    await phone.browser.setUserVerified(true);
    await phone.approve();
    await device.assertLetIn();
  });

  it('tells a phone that comes too late', async () => {
    const phone = await ownPhone();
    await phone.page.clock.install();
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    await backend.invalidateAll(phone.username);
    await device.assertTurnedAway();
    await phone.pressApprove();
    await phone.page.getByRole('link', { name: 'Go to the start page' }).waitFor();
    assert.equal(await phone.heading('Approved').count(), 0);
    await phone.inspect('review-too-late', { expected: logged });
    // What is over stays over: no time runs on, and none runs out.
    await phone.page.getByRole('status').getByText('This request was canceled.').waitFor();
    assert.equal(await phone.page.locator('#left').count(), 0);
    await phone.page.clock.fastForward(180_000);
    await phone.page.getByRole('status').getByText('This request was canceled.').waitFor();
  });
});

/** What the phone signs to approve: made, and not yet sent. The card is on the page afterwards. */
async function proofFor(phone, device) {
  await phone.review(device.approvalURL);
  const { status, json } = await phone.call('/phone/requests/approve/options', { ref: await phone.ref() });
  assert.equal(status, 200, JSON.stringify(json));
  return phone.assertion(json.publicKey);
}

const assertRefused = ({ status, json }) =>
  assert.ok(status >= 400 && status < 500 && json?.code, `got ${status} ${JSON.stringify(json)}, want a refusal`);

describe('a proof made for one request', () => {
  it('is refused for another, and for a sign-in', async () => {
    const [first, second] = [await NewDevice.ask(backend, phone.username), await NewDevice.ask(backend, phone.username, { type: 'long' })];
    await phone.review(second.approvalURL);
    const secondRef = await phone.ref();
    const credential = await proofFor(phone, first);
    assertRefused(await phone.call('/phone/requests/approve', { ref: secondRef, credential }));
    await second.assertPending();
    assertRefused(await phone.call('/phone/signin', { credential: await proofFor(phone, first) }));
    await first.assertPending();
    await Promise.all([first.abandon(), second.abandon()]);
    await phone.heading('This request was canceled').waitFor(); // where the open card goes by itself
    phone.assertNoProblems(logged);
  });

  it('is used once', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    const credential = await proofFor(phone, device);
    const ref = await phone.ref();
    const approved = await phone.call('/phone/requests/approve', { ref, credential });
    assert.equal(approved.status, 200, JSON.stringify(approved.json));
    assert.equal(approved.json.state, 'approved');
    await device.assertLetIn();
    assertRefused(await phone.call('/phone/requests/approve', { ref, credential }));
    phone.assertNoProblems(logged);
  });

  it('made for a sign-in is refused for an approval', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    const ref = await phone.ref();
    const { json } = await phone.call('/phone/signin/options', {});
    const credential = await phone.assertion(json.publicKey);
    assertRefused(await phone.call('/phone/requests/approve', { ref, credential }));
    await device.assertPending();
    await device.abandon();
    phone.assertNoProblems(logged);
  });
});

describe('the owner\'s pages', () => {
  it('rename the passkey, and keep the last one', async () => {
    const phone = await ownPhone();
    await phone.open('/passkeys');
    await phone.inspect('passkeys');
    assert.equal(await phone.button('Delete').isDisabled(), true);
    await phone.page.locator('summary', { hasText: 'Rename' }).click();
    await phone.page.getByLabel('New name').fill('My phone');
    await phone.button('Rename').click();
    await phone.page.getByRole('heading', { level: 2, name: 'My phone' }).waitFor();
    phone.assertNoProblems();
  });

  it('list in words what happened', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    await phone.approve();
    await device.assertLetIn();
    await phone.open('/activity');
    await phone.page.getByText('Living-room TV').first().waitFor();
    await phone.inspect('activity');
  });

  it('are closed after signing out', async () => {
    const phone = await ownPhone();
    await phone.signOut();
    for (const path of ['/passkeys', '/activity', '/device']) {
      await phone.open(path);
      await phone.heading('Sign in').waitFor();
    }
  });
});

describe('the pages for everybody', () => {
  it('say so where nothing is', async () => {
    const stranger = await freshPhone();
    const answer = await stranger.open('/nothing/here');
    assert.equal(answer.status(), 404);
    await stranger.heading('Nothing here').waitFor();
    await stranger.inspect('not-found', { expected: logged });
  });

  it('document the API, with nothing from elsewhere', async () => {
    const stranger = await freshPhone();
    const origins = new Set();
    stranger.page.on('request', (request) => origins.add(new URL(request.url()).origin));
    await stranger.open('/docs');
    await stranger.page.getByRole('heading', { level: 1 }).waitFor();
    await stranger.inspect('docs', { colours: ['nav', 'main > section:first-of-type'] });
    assert.deepEqual([...origins], [url]);
  });
});
