// RFC 8628 with people: a device shows a code, and somebody types it or follows the
// link in the QR code, on a phone of theirs.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { url } from './lib/nod.mjs';
import { OAuthClient } from './lib/oauth.mjs';
import { Phone, assertFairChoice } from './lib/phone.mjs';

let chrome;
/** @type {OAuthClient} */ let client;
/** @type {Phone} */ let phone; // for tests that leave it signed in
/** Runs out in a minute, which is used up by the tests before the last. */
let early;
/** @type {Phone[]} */ const phones = [];

before(async () => {
  const short = await OAuthClient.device('Acme TV', '--device-code-life', '1m');
  early = await short.ask({ device_name: 'Living-room TV' });
  client = await OAuthClient.device('Acme TV', '--scope', 'openid', '--scope', 'profile', '--scope', 'offline_access', '--scope', 'tv.play=play films on your behalf');
  chrome = await launch();
  phone = await Phone.enrolled(chrome);
});
after(() => chrome?.close());
afterEach(async () => {
  await Promise.all(phones.splice(0).map((phone) => phone.close()));
});

/** An enrolled phone of the test's own: wrong codes are counted by person. */
async function ownPhone() {
  const phone = await Phone.enrolled(chrome);
  phones.push(phone);
  return phone;
}

const ask = (more) => client.ask({ device_name: 'Living-room TV', scope: 'openid profile offline_access tv.play', ...more });

/** What the browser itself says of a request that a test has refused. */
const logged = /Failed to load resource/;

/** The code of eight letters that the card wants to be compared. */
const shownCode = (phone) => phone.page.locator('.check .code').textContent();

describe('a user code', () => {
  it('typed in lower case without its dash leads to the card', async () => {
    const device = await ask();
    assert.match(device.userCode, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    await phone.open('/device');
    await phone.inspect('device-empty');
    await phone.submitCode(device.userCode.toLowerCase().replace('-', ''));
    await phone.heading('Sign in on Living-room TV with Acme TV?').waitFor();
    assert.equal(await shownCode(phone), device.userCode);
    const allowed = await phone.page.locator('.scopes li').allTextContents();
    assert.deepEqual(allowed, ['Know who you are', 'See your username', 'Stay signed in until you revoke it', 'Play films on your behalf']);
    assert.equal((await phone.facts()).Account, phone.username);
    assert.equal(await phone.page.locator('.warning').count(), 0);
    await assertFairChoice(phone);
    await phone.inspect('review-device-grant');
    await phone.approve();
    const claims = await device.assertLetIn();
    assert.equal(claims.scope, 'openid profile offline_access tv.play');
    await phone.inspect('result-device-grant');
    await phone.open('/activity');
    await phone.page.getByText('You approved a sign-in on Living-room TV (Acme TV)').waitFor();
    await phone.inspect('activity-device-grant');
  });

  it('in a link leads over the sign-in to the card, and approves nothing by itself', async () => {
    const phone = await ownPhone();
    await phone.signOut();
    const device = await ask();
    assert.equal(device.link, `${url}/device?user_code=${device.userCode}`);
    await phone.open(device.link);
    await phone.heading('Sign in').waitFor();
    const text = await phone.page.textContent('body');
    for (const hidden of ['Living-room TV', 'Acme TV', device.userCode]) assert.ok(!text.includes(hidden), `shows ${hidden} to whoever is signed out`);
    await phone.signIn();
    await phone.button('Decline').waitFor();
    assert.equal(phone.page.url(), device.link);
    assert.equal(await shownCode(phone), device.userCode);
    await phone.page.reload();
    await phone.approve();
    await device.assertLetIn();
    phone.assertNoProblems();
    // The link has done its work: it leads to the result, not to another card.
    await phone.open(device.link);
    assert.equal(await phone.button('Approve with passkey').count(), 0);
  });

  it('tells nobody where it was followed from', async () => {
    const device = await ask();
    const referrers = [];
    const note = (request) => referrers.push(request.headers().referer);
    phone.page.on('request', note);
    await phone.open(device.link);
    await phone.button('Decline').waitFor();
    await phone.decline();
    phone.page.off('request', note);
    assert.ok(referrers.length > 2, `looked at ${referrers.length} requests`);
    assert.deepEqual(referrers.filter(Boolean), []);
    await device.assertRefused('access_denied');
  });

  it('is declined by keys alone', async () => {
    const device = await ask({ device_name: '' });
    await phone.open('/device');
    await phone.page.locator('input:focus').waitFor(); // the field has the focus by itself
    await phone.page.keyboard.type(device.userCode.replace('-', ' '));
    await phone.press('Enter');
    await phone.heading('Sign in to Acme TV?').waitFor();
    await phone.inspect('review-device-grant-plain');
    assert.equal(await phone.focused(), 'Decline');
    await phone.press('Enter');
    await phone.heading('Declined').waitFor();
    await device.assertRefused('access_denied');
    phone.assertNoProblems();
  });

  it('that is wrong is said to be, until it was too often', async () => {
    const phone = await ownPhone();
    const device = await ask();
    for (let wrong = 0; wrong < 5; wrong++) {
      await phone.open('/device');
      await phone.submitCode(`BBBB-BBB${'BCDFG'[wrong]}`);
      await phone.page.getByRole('alert').getByText('No device is waiting for you with this code').waitFor();
      if (wrong === 0) await phone.inspect('device-unknown', { expected: logged });
    }
    await phone.open(device.link);
    await phone.page.getByRole('alert').getByText(/again in (2 minutes|\d+ seconds)/).waitFor();
    await phone.inspect('device-too-many', { expected: logged });
    await (await ownPhone()).typeCode(device.userCode); // guesses lock nobody else out
  });

  it('that has run out asks for the new one', async () => {
    await early.assertRefused('expired_token');
    await phone.open(early.link);
    await phone.page.getByRole('alert').getByText('This code has run out').waitFor();
    await phone.inspect('device-ran-out', { expected: logged });
  });
});

