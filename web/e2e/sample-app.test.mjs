// The sample application: a television waits in one browser, a phone decides in
// another, and whatever breaks in between is still waiting.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { invite, killServer, setting, startServer, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';
import { Television } from './lib/television.mjs';

const waiting = 'Waiting for your phone…';
const opened = 'Opened on a phone. Finish there.';
const hiccup = 'Connection hiccup, still waiting. Your code is still good.';
const declined = 'Sign-in was declined. Nothing was shared.';

/** What the browser itself says of a request that was refused, or cut off. */
const logged = /Failed to load resource/;
/** The same of an answer that a gateway gave in nod's place: it names no origins. */
const gateway = /Failed to load resource|blocked by CORS policy/;

let chrome;
/** @type {Phone} */ let phone;
/** @type {Television} */ let television;

before(async () => {
  chrome = await launch();
  phone = await Phone.open(chrome);
  await phone.enrol(await invite('ada'));
});
after(() => chrome?.close());
beforeEach(async () => {
  television = await Television.waiting(chrome);
});
afterEach(() => television.close());

/** Both browsers, at the end of a story in which nothing went wrong. */
function assertNoProblems(expected) {
  phone.assertNoProblems();
  television.assertNoProblems(expected);
}

describe('the television', () => {
  it('shows a code to type, a code to scan, and the time they have left', async () => {
    assert.match(await television.code(), /^\d{3} \d{3}$/);
    assert.ok((await television.approvalURL()).startsWith(`${url}/a/`), await television.approvalURL());
    const left = await television.secondsLeft();
    assert.ok(left > 150 && left <= 180, `${left} s left of three minutes`);
    await television.page.getByText(`${url}/device`).waitFor();
    await television.inspect('acme-waiting');
  });

  it('shows a QR code that cannot be waited on', async () => {
    const code = (await television.code()).replace(' ', '');
    assert.ok(!(await television.approvalURL()).includes(code), 'the code is in the QR code');
  });

  it('says who is signed in, after an approval on the phone that scanned it', async () => {
    await phone.review(await television.approvalURL());
    await phone.heading('Sign in on Living-room TV?').waitFor();
    assert.deepEqual(await phone.facts().then(({ App, Account, Device }) => ({ App, Account, Device })),
      { App: 'Acme TV', Account: 'ada', Device: 'Living-room TV' });
    await television.shows(opened);
    await television.inspect('acme-opened');
    await phone.approve();
    await television.signedIn('ada');
    await television.inspect('acme-approved');
    await television.page.reload();
    await television.signedIn('ada');
    assertNoProblems();
  });

  it('says that it was declined, and offers another code', async () => {
    const code = await television.code();
    await phone.review(await television.approvalURL());
    await phone.decline();
    await television.shows(declined);
    await television.offersAnother();
    await television.inspect('acme-declined', { expected: logged });
    await television.showAnother();
    await television.shows(waiting);
    assert.notEqual(await television.code(), code);
    assertNoProblems();
  });

  it('lets in whoever types its code', async () => {
    await phone.typeCode(await television.code());
    await television.shows(opened);
    await phone.approve();
    await television.signedIn('ada');
    assertNoProblems();
  });

  it('is declined by whoever types its code', async () => {
    await phone.typeCode(await television.code());
    await phone.decline();
    await television.shows(declined);
    assertNoProblems(logged);
  });

  it('is signed out from the phone', async () => {
    await phone.review(await television.approvalURL());
    await phone.approve();
    await television.signedIn('ada');
    await phone.open('/devices');
    const line = phone.page.getByRole('listitem').filter({ has: phone.page.getByRole('heading', { name: 'Living-room TV' }) }).first();
    await line.locator('summary').click();
    await line.getByRole('button', { name: 'Sign out Living-room TV' }).click();
    await television.page.getByText('This television was signed out from your phone.').waitFor();
    await television.shows(waiting);
    await television.inspect('acme-signed-out', { expected: logged });
    assertNoProblems(logged);
  });

  it('signs out', async () => {
    await phone.review(await television.approvalURL());
    await phone.approve();
    await television.signedIn('ada');
    await television.page.getByRole('button', { name: 'Sign out' }).click();
    await television.shows(waiting);
    assertNoProblems();
  });
});

/** Cuts what is held at nod already: a route that is put in between has no power over that. */
async function cutHeldRequests() {
  await killServer();
  // Chromium repeats what was cut; while there is nobody to take it up, the page is told.
  await television.shows(hiccup);
  await startServer();
}

describe('a connection that breaks', () => {
  it('by a dead server is waited out, and the code is still good', async () => {
    const [code, approvalURL] = [await television.code(), await television.approvalURL()];
    await killServer();
    await television.shows(hiccup);
    await television.inspect('acme-retrying', { expected: logged });
    await startServer();
    await television.shows(waiting);
    assert.equal(await television.code(), code);
    await phone.review(approvalURL);
    await phone.approve();
    await television.signedIn('ada');
    assertNoProblems(logged);
  });

  it('before the approval and mended after it costs nothing', async () => {
    await phone.review(await television.approvalURL());
    await television.shows(opened);
    await television.page.route(`${url}/**`, (route) => route.abort('internetdisconnected'));
    await cutHeldRequests();
    await phone.approve();
    await television.shows(hiccup);
    await television.page.unroute(`${url}/**`);
    await television.signedIn('ada');
    assertNoProblems(logged);
  });

  for (const status of [502, 504]) {
    it(`by a gateway that answers ${status} in HTML is waited out`, async () => {
      await television.page.route(`${url}/**`, (route) => route.fulfill({
        status, contentType: 'text/html', body: `<html><title>${status}</title><h1>Bad gateway</h1></html>`,
      }));
      await cutHeldRequests();
      await television.page.waitForResponse((response) => response.url().endsWith('/wait') && response.status() === status);
      await television.shows(hiccup);
      await television.page.unroute(`${url}/**`);
      await television.shows(waiting);
      await phone.review(await television.approvalURL());
      await phone.approve();
      await television.signedIn('ada');
      assertNoProblems(gateway);
    });
  }

  it('before there is a code is waited out', async () => {
    const code = await television.code();
    await television.page.route(`${setting('E2E_ACME')}/start`, (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>502</h1>' }));
    await television.page.reload();
    await television.shows('Connection hiccup. Asking for a code again…');
    await television.page.unroute(`${setting('E2E_ACME')}/start`);
    await television.shows(waiting);
    assert.notEqual(await television.code(), code);
    assertNoProblems(logged);
  });
});
