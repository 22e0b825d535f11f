// Ways in: printed recovery codes, a second passkey here and on another device, and
// the last passkey that cannot be deleted.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';

let chrome;
/** @type {Phone[]} */ const phones = [];

before(async () => { chrome = await launch(); });
after(() => chrome?.close());
afterEach(async () => {
  await Promise.all(phones.splice(0).map((phone) => phone.close()));
});

/** Closes a phone after the test. */
function untilTheEnd(phone) {
  phones.push(phone);
  return phone;
}

const ownPhone = async () => untilTheEnd(await Phone.enrolled(chrome));
const freshPhone = async () => untilTheEnd(await Phone.open(chrome));

/** What the browser itself says of a request that was refused. */
const logged = /Failed to load resource/;

const form = /^([B-DF-HJ-NP-TV-XZ]{4}-){3}[B-DF-HJ-NP-TV-XZ]{4}$/;

/** Makes a set of codes and returns what is on the page. */
async function makeCodes(phone) {
  await phone.open('/recovery');
  await phone.page.getByRole('button', { name: /^Make/ }).click();
  await phone.heading('Your recovery codes').waitFor();
  return phone.page.getByRole('listitem').locator('code').allTextContents();
}

/** Types a username and a code on /recover. */
async function recover(phone, username, code) {
  await phone.page.getByLabel('Username').fill(username);
  await phone.page.getByLabel('Recovery code').fill(code);
  await phone.button('Use this code').click();
}

/** Another phone that a recovery code leads to where a passkey is made. */
async function recovered(username, code) {
  const phone = await freshPhone();
  await phone.open('/recover');
  await recover(phone, username, code);
  await phone.heading(`Create a passkey for ${username}`).waitFor();
  phone.username = username;
  return phone;
}

describe('recovery codes', () => {
  it('are shown once, copied and printed', async () => {
    const phone = await ownPhone();
    await phone.browser.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url });
    await phone.open('/');
    await phone.page.getByText('One passkey is your only way in.').waitFor();
    await phone.inspect('home-nudge');
    await phone.page.getByRole('link', { name: 'print recovery codes' }).click();
    await phone.page.getByText('You have none yet.').waitFor();
    await phone.inspect('recovery');

    const codes = await makeCodes(phone);
    assert.equal(codes.length, 10);
    for (const code of codes) assert.match(code, form);
    assert.equal(await phone.focused(), 'Your recovery codes', 'the focus goes to what is new');
    await phone.inspect('recovery-codes');
    await phone.button('Copy').click();
    await phone.page.getByText('Copied.').waitFor();
    assert.equal(await phone.page.evaluate(() => navigator.clipboard.readText()), `${codes.join('\n')}\n`);

    await phone.page.evaluate(() => { window.print = () => { document.title = 'printed'; }; });
    await phone.button('Print').click();
    assert.equal(await phone.page.title(), 'printed');
    await phone.page.emulateMedia({ media: 'print' });
    for (const kept of [codes[0], codes[9], phone.username, `${new URL(url).host}/recover`]) {
      await phone.page.getByText(kept).first().waitFor();
    }
    assert.equal(await phone.button('Print').isVisible(), false, 'a button on paper');
    assert.equal(await phone.page.getByRole('navigation').isVisible(), false, 'the navigation on paper');
    assert.equal(await phone.page.getByText('Copied.').isVisible(), false, 'what was said, on paper');
    if (process.env.NOD_SCREENSHOTS) {
      await phone.page.screenshot({ path: `${process.env.NOD_SCREENSHOTS}/recovery-print.png`, fullPage: true });
    }
    await phone.page.emulateMedia({ media: 'screen' });

    await phone.open('/recovery');
    await phone.page.getByText('10 of 10 left.').waitFor();
    assert.equal(await phone.page.getByText(codes[0]).count(), 0, 'the codes are shown again');
    await phone.open('/');
    assert.equal(await phone.page.getByText('only way in').count(), 0);
    phone.assertNoProblems();
  });

  it('are not made without the passkey', async () => {
    const phone = await ownPhone();
    await phone.open('/recovery');
    await phone.browser.setUserVerified(false);
    await phone.button('Make ten codes').click();
    await phone.page.getByRole('status').getByText('you can try again').waitFor();
    await phone.open('/recovery');
    await phone.page.getByText('You have none yet.').waitFor();
  });

  it('let in whoever lost the phone, and end what was', async () => {
    const lost = await ownPhone();
    const [code, spare] = await makeCodes(lost);
    await lost.browser.setPresent(false); // in somebody's pocket

    const fresh = await freshPhone();
    await fresh.open('/');
    await fresh.page.getByRole('link', { name: 'Lost your phone?' }).click();
    await fresh.heading('Lost your phone?').waitFor();
    await fresh.inspect('recover');
    await recover(fresh, lost.username, 'BCDF-GHJK-LMNP-QRST');
    await fresh.page.getByRole('alert').getByText('do not belong together').waitFor();
    assert.equal(await fresh.page.getByLabel('Username').inputValue(), lost.username, 'the name is still there');
    await fresh.inspect('recover-wrong', { expected: logged });

    await recover(fresh, lost.username, code.toLowerCase().replaceAll('-', ' '));
    await fresh.heading(`Create a passkey for ${lost.username}`).waitFor();
    await fresh.inspect('enrol-recovered');
    await lost.open('/');
    await lost.heading('Sign in').waitFor();

    await fresh.button('Create a passkey').click();
    await fresh.page.waitForURL(`${url}/passkeys`);
    assert.equal(await fresh.page.locator('.records > li').count(), 2);
    await fresh.inspect('passkeys-recovered');
    const old = fresh.page.locator('.records > li').filter({ hasNotText: 'this session' });
    await old.getByText('Delete', { exact: true }).first().click();
    await old.getByRole('button', { name: /^Delete/ }).click();
    await fresh.page.getByText('This is the only passkey').waitFor();
    await fresh.open('/activity');
    await fresh.page.getByText('A recovery code was used').waitFor();

    const late = await freshPhone();
    await late.open('/recover');
    await recover(late, lost.username, code);
    await late.page.getByRole('alert').waitFor();
    await recover(late, lost.username, spare);
    await late.heading(`Create a passkey for ${lost.username}`).waitFor();
  });

  it('of an old set open nothing', async () => {
    const phone = await ownPhone();
    const [old] = await makeCodes(phone);
    const [current] = await makeCodes(phone);
    const stranger = await freshPhone();
    await stranger.open('/recover');
    await recover(stranger, phone.username, old);
    await stranger.page.getByRole('alert').getByText('do not belong together').waitFor();
    await recovered(phone.username, current);
  });

  it('are counted, and the page says how long', async () => {
    const phone = await ownPhone();
    await makeCodes(phone);
    const stranger = await freshPhone();
    await stranger.open('/recover');
    for (let i = 0; i < 6; i++) {
      const answered = stranger.page.waitForResponse((response) => response.request().method() === 'POST');
      await recover(stranger, phone.username, 'BCDF-GHJK-LMNP-QRST');
      await answered;
    }
    await stranger.page.getByRole('alert').getByText(/try again in (2 minutes|\d+ seconds)/).waitFor();
    await stranger.inspect('recover-limit', { expected: logged });
  });

  it('are reached and typed by keyboard', async () => {
    const phone = await freshPhone();
    await phone.open('/recover');
    await phone.page.keyboard.type('somebody');
    await phone.press('Tab');
    await phone.page.keyboard.type('bcdfghjklmnpqrst');
    await phone.press('Enter');
    await phone.page.getByRole('alert').waitFor();
    assert.equal(await phone.page.evaluate(() => document.activeElement.id), 'code', 'the focus is where it was wrong');
  });
});

describe('one more passkey', () => {
  const lines = (phone) => phone.page.locator('.records > li');

  it('is added here, on an authenticator that has none', async () => {
    const phone = await ownPhone();
    await phone.open('/passkeys');
    assert.equal(await phone.button('Delete').isDisabled(), true, 'the last one can be deleted');
    await phone.page.getByText('This is the only passkey you can sign in with').waitFor();
    await phone.inspect('passkeys-last');
    await phone.button('On this device').click();
    await phone.page.getByRole('status').getByText('This device has a passkey of yours already.').waitFor();
    await phone.inspect('passkeys-here-already');

    // Between the two ceremonies another authenticator is plugged in.
    await phone.page.route('**/phone/add/vouch', async (route) => {
      const response = await route.fetch();
      await phone.browser.cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: phone.browser.authenticator });
      await phone.browser.addAuthenticator();
      await route.fulfill({ response });
    });
    await phone.button('On this device').click();
    await phone.page.getByRole('status').getByText('was added. Your phones are told.').waitFor();
    assert.equal(await lines(phone).count(), 2);
    await phone.inspect('passkeys-added');
    await phone.open('/activity');
    assert.equal(await phone.page.getByText(/^A passkey was made/).count(), 2);
    await phone.signOut();
    await phone.signIn();
    await phone.heading('Nothing is waiting').waitFor();
  });

  it('is not added without one that is there', async () => {
    const phone = await ownPhone();
    await phone.open('/passkeys');
    await phone.browser.setUserVerified(false);
    for (const name of ['On this device', 'On another device']) {
      await phone.button(name).click();
      await phone.page.getByRole('status').getByText('you can try again').waitFor();
    }
    assert.equal(await phone.page.getByText('Open this on the other device').isVisible(), false);
    await phone.open('/passkeys');
    assert.equal(await lines(phone).count(), 1);
  });

  it('is made on another device by a link that works once', async () => {
    const phone = await ownPhone();
    await phone.open('/passkeys');
    await phone.button('On another device').click();
    await phone.page.getByRole('img', { name: /^QR code/ }).waitFor();
    assert.equal(await phone.focused(), 'Open this on the other device');
    const link = await phone.page.locator('#link').textContent();
    assert.ok(link.startsWith(`${url}/enrol#`), link);
    await phone.inspect('passkeys-invitation');

    const other = await freshPhone();
    await other.enrol(link);
    await other.open('/passkeys');
    assert.equal(await lines(other).count(), 2);
    const late = await freshPhone();
    await late.open(link);
    await late.heading('This invitation is over').waitFor();
    await late.inspect('invitation-over', { expected: logged });

    // With two of them, either may go; the phone that had it is signed out.
    await phone.browser.setPresent(false);
    const first = lines(other).filter({ hasNotText: 'this session' });
    await first.getByText('Delete', { exact: true }).first().click();
    await first.getByRole('button', { name: /^Delete/ }).click();
    await other.page.getByText('This is the only passkey').waitFor();
    await phone.open('/');
    await phone.heading('Sign in').waitFor();
  });

  it('is asked for by keyboard', async () => {
    const phone = await ownPhone();
    await phone.open('/passkeys');
    await phone.tabTo('Add another one');
    await phone.press('Enter');
    await phone.tabTo('On another device');
    await phone.press('Enter');
    await phone.page.getByRole('img', { name: /^QR code/ }).waitFor();
    await phone.tabTo('Copy the link');
  });
});
