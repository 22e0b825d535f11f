// The sample application beside a phone that is told by push, with a QR code that
// changes while the television waits.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { invite, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';
import { Push } from './lib/push.mjs';
import { Television } from './lib/television.mjs';

const opened = 'Opened on a phone. Finish there.';
const openedTwice = 'Opened on a second phone too. If that is not yours, decline.';

let chrome;
/** @type {Phone} */ let phone;
/** @type {Push} */ let push;
/** @type {Phone} */ let second; // of the same person
/** @type {Television} */ let television;

before(async () => {
  chrome = await launch();
  phone = await Phone.open(chrome);
  push = await Push.given(phone);
  await phone.enrol(await invite('ada'));
  phone.username = 'ada';
  await push.turnOn();
  second = await phone.another(chrome);
  await push.take(); // which says that there is another passkey now
});
after(() => chrome?.close());
afterEach(() => television.close());

const digits = async () => (await television.code()).replace(' ', '');
/** What the browser itself says of a request that a test has refused. */
const logged = /Failed to load resource/;

describe('a television whose owner is told', () => {
  it('says so, and lets in whoever types its code as the number', async () => {
    television = await Television.waiting(chrome);
    await television.page.getByText('We have sent a message to your phone.').waitFor();
    await television.inspect('acme-told');
    await push.deliver();
    await push.tap();
    await phone.typeNumber(await digits());
    await television.shows(opened);
    await phone.approve();
    await television.signedIn('ada');
    phone.assertNoProblems();
    television.assertNoProblems();
  });

  it('says when a second phone looks, too', async () => {
    television = await Television.waiting(chrome);
    await push.deliver();
    await push.tap();
    await television.shows(opened);
    await second.review(await television.approvalURL());
    await television.shows(openedTwice);
    await television.inspect('acme-opened-twice');
    await phone.decline();
    await television.shows('Sign-in was declined. Nothing was shared.');
  });
});

describe('a QR code that changes', () => {
  it('leaves the code and the open card as they are, and is refused once it is old', async () => {
    television = await Television.waiting(chrome);
    await push.take();
    const [code, old] = [await television.code(), await television.approvalURL()];
    await phone.review(old);
    const exchanged = await phone.ref();
    assert.ok(!old.endsWith(exchanged.secret), 'the card goes on with a secret of its own');
    await television.shows(opened);

    const fresh = await television.approvalURLAfter(old);
    assert.equal(await television.code(), code);
    await television.shows(opened);
    await second.replaced(old);
    await second.inspect('qr-replaced', { expected: logged });
    await second.review(fresh);
    await phone.approve();
    await television.signedIn('ada');
    await second.page.waitForURL(`${url}/r/**`);
    phone.assertNoProblems();
    television.assertNoProblems();
  });
});
