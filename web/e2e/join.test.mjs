// A device without a passkey is let in with the phone, and makes a passkey of its own.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { NewDevice } from './lib/device.mjs';
import { Laptop } from './lib/laptop.mjs';
import { Native } from './lib/native.mjs';
import { createClient, url } from './lib/nod.mjs';
import { Phone, assertFairChoice } from './lib/phone.mjs';

let chrome;
/** @type {{close(): Promise<void>}[]} */ const opened = [];

before(async () => { chrome = await launch(); });
after(() => chrome?.close());
afterEach(() => Promise.all(opened.splice(0).map((each) => each.close())));

/** Closes a browser after the test. */
function untilTheEnd(browser) {
  opened.push(browser);
  return browser;
}

const ownPhone = async () => untilTheEnd(await Phone.enrolled(chrome));
const laptopWaiting = async () => untilTheEnd(await Laptop.waiting(chrome));

/** What the browser itself says of a call that was refused or cut off. */
const logged = /Failed to load resource/;

const lines = (browser) => browser.page.locator('.records > li');

/** The cookie that the laptop waits with. */
async function waitingCookie(laptop) {
  const cookies = await laptop.browser.context.cookies(url);
  return cookies.find(({ name }) => name === 'nod-join');
}

describe('a laptop without a passkey', () => {
  it('is let in by a scan and makes its own, and then lets others in', async () => {
    const phone = await ownPhone();
    const laptop = untilTheEnd(await Laptop.open(chrome));
    await laptop.open('/');
    await laptop.page.getByRole('link', { name: 'Let it in with your phone' }).click();
    await laptop.shows('Waiting for your phone…');
    const code = await laptop.code();
    assert.match(code, /^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/);
    await laptop.page.getByText(`${new URL(url).host}/device`).waitFor();
    await laptop.page.getByText(/^(10:00|9:[0-5]\d) left$/).waitFor();
    await laptop.inspect('join');

    await phone.review(await laptop.approvalURL());
    await laptop.shows('Opened on a phone. Finish there.');
    await laptop.inspect('join-opened');
    await phone.heading(/^Add a passkey on .*Chrome.*\?$/).waitFor();
    await phone.page.locator('.check').getByText(code, { exact: true }).waitFor();
    const facts = await phone.facts();
    assert.equal(facts['Asks on'], "nod's own page");
    assert.match(facts['Asks from'], /^(127\.0\.0\.1|::1)/);
    assert.equal(facts.Network, 'Same network as this phone');
    await phone.page.getByText('again and again, until you delete its passkey').waitFor();
    await assertFairChoice(phone);
    await phone.inspect('review-join');
    await phone.approve();
    await phone.page.getByText('now it makes its own passkey').waitFor();
    await phone.inspect('result-join');

    await laptop.shows(`Approved as ${phone.username}.`);
    assert.equal(await laptop.focused(), 'Create a passkey');
    await laptop.inspect('join-approved');
    await laptop.makePasskey();
    assert.equal(await lines(laptop).count(), 2);
    await laptop.inspect('join-made');
    assert.equal(await waitingCookie(laptop), undefined, 'what it waited with is still there');

    await phone.page.reload();
    await phone.page.getByText('It has its own passkey now.').waitFor();
    await phone.open('/activity');
    for (const words of [/^You approved a new passkey on .*Chrome/, /^A passkey was made: .*Chrome/]) {
      await phone.page.getByText(words).first().waitFor();
    }
    phone.assertNoProblems();

    const backend = new Native(await createClient({ name: 'Acme TV' }));
    const television = await NewDevice.ask(backend, phone.username);
    await laptop.review(television.approvalURL);
    await laptop.approve();
    await television.assertLetIn();
    await laptop.signOut();
    await laptop.signIn();
    await laptop.heading('Nothing is waiting').waitFor();
    laptop.assertNoProblems();
  });

  it('is let in by its typed code, on a phone that signs in first', async () => {
    const phone = await ownPhone();
    const laptop = await laptopWaiting();
    await phone.signOut();
    await phone.signIn();
    await phone.typeCode((await laptop.code()).toLowerCase().replace('-', ' '));
    await phone.approve();
    await laptop.makePasskey();
    await laptop.open('/');
    await laptop.page.getByText(`Signed in as ${phone.username}`).waitFor();
  });

  it('goes on where it was when the page is loaded anew', async () => {
    const phone = await ownPhone();
    const laptop = await laptopWaiting();
    const code = await laptop.code();
    await laptop.page.reload();
    await laptop.shows('Waiting for your phone…');
    assert.equal(await laptop.code(), code);
    await phone.review(await laptop.approvalURL());
    await phone.approve();
    await laptop.shows(`Approved as ${phone.username}.`);
    await laptop.page.reload();
    await laptop.shows(`Approved as ${phone.username}.`);
    await laptop.makePasskey();
    laptop.assertNoProblems();
  });

  it('that is declined says so, and asks for nothing by itself', async () => {
    const phone = await ownPhone();
    const laptop = await laptopWaiting();
    const code = await laptop.code();
    await phone.review(await laptop.approvalURL());
    await phone.decline();
    await laptop.shows('This was declined on the phone. Nothing was shared.');
    await laptop.offersAnother();
    assert.equal(await laptop.focused(), 'Show a new code');
    await laptop.inspect('join-declined');
    await laptop.press('Enter');
    await laptop.shows('Waiting for your phone…');
    assert.notEqual(await laptop.code(), code);
    laptop.assertNoProblems();
  });

  it('whose approval is taken back makes no passkey', async () => {
    const phone = await ownPhone();
    const laptop = await laptopWaiting();
    await phone.review(await laptop.approvalURL());
    await phone.approve();
    await laptop.button('Create a passkey').waitFor();
    await phone.button('Undo').click();
    await phone.heading('Undone').waitFor();
    await laptop.shows('This was taken back. Nothing was shared.');
    assert.equal(await laptop.button('Create a passkey').isVisible(), false);
    await phone.open('/passkeys');
    assert.equal(await lines(phone).count(), 1);
  });

  it('that was let in by mistake is thrown out with one report, and what it let in', async () => {
    const phone = await ownPhone();
    const laptop = await laptopWaiting();
    await phone.review(await laptop.approvalURL());
    await phone.approve();
    await laptop.makePasskey();
    const backend = new Native(await createClient({ name: 'Acme TV' }));
    const devices = [];
    for (const name of ['Living-room TV', 'Kitchen radio']) {
      const device = await NewDevice.ask(backend, phone.username, { device_name: name });
      await laptop.review(device.approvalURL);
      await laptop.approve();
      await device.assertLetIn();
      devices.push(device);
    }

    await phone.page.reload();
    await phone.page.getByText('If that is not yours, report it at once').waitFor();
    await phone.inspect('result-join-made');
    await phone.button('Report: this was not me').click();
    await phone.heading('Reported').waitFor();
    await phone.page.getByText('is deleted, and the 2 devices it let in are signed out.').waitFor();
    await phone.inspect('result-join-reported');

    await laptop.open('/');
    await laptop.heading('Sign in').waitFor();
    await laptop.button('Sign in with a passkey').click();
    await laptop.page.getByText('is no longer valid here.').first().waitFor();
    await phone.open('/passkeys');
    assert.equal(await lines(phone).count(), 1);
    await phone.open('/devices');
    assert.equal(await phone.page.getByText('Nothing is signed in as you.').count(), 1);
    await phone.open('/activity');
    await phone.page.getByText(/^You reported that a passkey was added, and it was deleted: .*Chrome/).waitFor();
    phone.assertNoProblems();
  });

  it('opened on a second phone says so', async () => {
    const phone = await ownPhone();
    const second = untilTheEnd(await phone.another(chrome));
    const laptop = await laptopWaiting();
    await phone.typeCode(await laptop.code());
    await laptop.shows('Opened on a phone. Finish there.');
    await second.typeCode(await laptop.code());
    await laptop.shows('Opened on a second phone too. If that is not yours, decline.');
    await phone.page.getByText('opened on another phone too').first().waitFor();
    await phone.decline();
    await laptop.offersAnother();
  });

  it('that loses its connection still waits', async () => {
    const phone = await ownPhone();
    const laptop = await laptopWaiting();
    const code = await laptop.code();
    let calls = 0;
    await laptop.page.route('**/phone/join/wait', (route) => (++calls % 2 === 1
      ? route.abort('internetdisconnected')
      : route.fulfill({ status: 504, contentType: 'text/html', body: '<h1>504</h1>' })));
    await phone.typeCode(code); // opened: the call that is held ends, and the next ones fail
    await laptop.shows('Connection hiccup, still waiting. Your code is still good.');
    while (calls < 2) await laptop.page.waitForResponse('**/phone/join/wait');
    assert.equal(await laptop.code(), code);
    await laptop.page.unroute('**/phone/join/wait');
    await laptop.shows('Opened on a phone. Finish there.');
    await phone.approve();
    await laptop.makePasskey();
    laptop.assertNoProblems(logged);
  });

  it('can try again when no passkey was made', async () => {
    const phone = await ownPhone();
    const laptop = await laptopWaiting();
    await laptop.browser.setUserVerified(false);
    await phone.review(await laptop.approvalURL());
    await phone.approve();
    await laptop.button('Create a passkey').click();
    await laptop.page.getByRole('status').getByText('you can try again').waitFor();
    await laptop.inspect('join-not-made');
    await laptop.browser.setUserVerified(true);
    await laptop.makePasskey();
    laptop.assertNoProblems();
  });

  it('is let in by keyboard alone', async () => {
    const phone = await ownPhone();
    const laptop = untilTheEnd(await Laptop.open(chrome));
    await laptop.open('/recover'); // where nothing takes the focus by itself
    await laptop.load();
    await laptop.shows('Waiting for your phone…');
    await phone.typeCode(await laptop.code());
    await phone.tabTo('Approve with passkey');
    await phone.press('Enter');
    await phone.heading('Approved').waitFor();
    await laptop.shows(`Approved as ${phone.username}.`);
    await laptop.press('Enter');
    await laptop.onPasskeys();
  });

  it('that has a passkey of theirs already is told to use it', async () => {
    const phone = await ownPhone();
    await phone.browser.setPresent(false);
    const laptop = await laptopWaiting();
    const second = untilTheEnd(await phone.another(chrome));
    for (const passkey of await second.browser.passkeys()) await laptop.browser.addPasskey(passkey);
    await second.review(await laptop.approvalURL());
    await second.approve();
    await laptop.button('Create a passkey').click();
    await laptop.page.getByRole('status').getByText('This device has a passkey of yours already.').waitFor();
    await laptop.inspect('join-known');
  });

  it('keeps what it waits with from scripts and from other browsers', async () => {
    const laptop = await laptopWaiting();
    const cookie = await waitingCookie(laptop);
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/']);
    assert.equal(await laptop.page.evaluate(() => document.cookie), '');
    assert.ok(!(await laptop.page.content()).includes(cookie.value));
    const other = await laptopWaiting();
    assert.notEqual(await other.code(), await laptop.code());
  });
});
