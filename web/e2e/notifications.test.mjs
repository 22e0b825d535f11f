// Notifications: a browser is registered, tested and removed, and what it does
// without a connection.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { NewDevice } from './lib/device.mjs';
import { Native } from './lib/native.mjs';
import { createClient, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';
import { Push, failPush } from './lib/push.mjs';

let chrome;
/** @type {Native} */ let backend;
/** @type {Phone[]} */ const phones = [];

before(async () => {
  backend = new Native(await createClient({ name: 'Acme TV' }));
  chrome = await launch();
});
after(() => chrome?.close());
afterEach(async () => {
  await failPush({ times: 0 });
  await Promise.all(phones.splice(0).map((phone) => phone.close()));
});

/** Closes a phone after the test. */
function untilTheEnd(phone) {
  phones.push(phone);
  return phone;
}

/** An enrolled phone of the test's own, whose browser has a push service. */
async function ownPhone() {
  const phone = untilTheEnd(await Phone.enrolled(chrome));
  return { phone, push: await Push.given(phone) };
}

/** One with notifications turned on. */
async function toldPhone() {
  const { phone, push } = await ownPhone();
  await push.turnOn();
  return { phone, push };
}

/** The phones that nod tells, as the page's own call lists them. */
const registered = (phone) => phone.page.evaluate(async () => (await (await fetch('/phone/phones')).json()).phones);

describe('turning notifications on', () => {
  it('is offered before the browser asks, and can wait', async () => {
    const { phone } = await ownPhone();
    await phone.open('/');
    await phone.page.getByRole('heading', { name: 'Be told on this phone?' }).waitFor();
    await phone.inspect('home-offer');
    await phone.button('Not now').click();
    await phone.page.getByRole('heading', { name: 'Be told on this phone?' }).waitFor({ state: 'hidden' });
    assert.equal(await phone.focused(), 'Type a code');
    await phone.page.reload();
    await phone.heading('Nothing is waiting').waitFor();
    assert.equal(await phone.page.getByRole('heading', { name: 'Be told on this phone?' }).isVisible(), false);
    phone.assertNoProblems();
  });

  it('from the offer needs no other page', async () => {
    const { phone, push } = await ownPhone();
    await phone.open('/');
    await phone.button('Turn on').click();
    await phone.page.getByText('Notifications are on for this phone.').waitFor();
    assert.equal((await registered(phone)).length, 1);
    assert.ok(push.endpoint);
    phone.assertNoProblems();
  });

  it('registers this browser, once', async () => {
    const { phone, push } = await ownPhone();
    await phone.open('/notifications');
    await phone.button('Turn on notifications').waitFor();
    await phone.inspect('notifications-off');
    await push.turnOn();
    await phone.page.getByText('this phone', { exact: true }).waitFor();
    await phone.inspect('notifications-on');
    const [first, ...others] = await registered(phone);
    assert.deepEqual(others, []);
    assert.equal(first.kind, 'webpush');
    assert.match(first.name, /Chrom/);
    assert.ok(!JSON.stringify(first).includes(new URL(push.endpoint).pathname), 'the endpoint is told to nobody');
    await phone.page.reload();
    await phone.page.getByText('Notifications are on.').waitFor();
    assert.equal((await registered(phone)).length, 1);
    await phone.open('/activity');
    await phone.page.getByText('Notifications were switched on').waitFor();
    phone.assertNoProblems();
  });

  it('says how to, where the browser was told to block it', async () => {
    const phone = untilTheEnd(await Phone.enrolled(chrome));
    await phone.browser.denyNotifications();
    await phone.open('/notifications');
    await phone.page.getByText('This browser was told to block notifications').waitFor();
    assert.equal(await phone.button('Turn on notifications').isVisible(), false);
    await phone.inspect('notifications-blocked');
    await phone.open('/');
    await phone.heading('Nothing is waiting').waitFor();
    assert.equal(await phone.page.getByRole('heading', { name: 'Be told on this phone?' }).isVisible(), false);
  });

  it('leads to the Home Screen on an iPhone', async () => {
    const phone = untilTheEnd(await Phone.enrolled(chrome));
    await phone.page.addInitScript(() => {
      delete globalThis.PushManager;
      Object.defineProperty(Navigator.prototype, 'userAgent', { get: () => 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1' });
    });
    await phone.open('/notifications');
    await phone.page.getByText('Add to Home Screen').waitFor();
    await phone.inspect('notifications-iphone');
  });

  it('ends with the sign-out', async () => {
    const { phone } = await toldPhone();
    await phone.signOut();
    await phone.signIn();
    await phone.open('/notifications');
    await phone.button('Turn on notifications').waitFor();
    assert.deepEqual(await registered(phone), []);
  });
});

describe('a phone on the list', () => {
  it('is sent a test', async () => {
    const { phone, push } = await toldPhone();
    await phone.button(/^Send a test/).click();
    await phone.page.getByRole('status').getByText('The provider took it.').waitFor();
    await push.deliver();
    const { title, body, path } = await push.notification();
    assert.deepEqual({ title, body, path }, { title: 'nod', body: 'This is a test. This phone can be reached.', path: '/notifications' });
    await phone.inspect('notifications-tested');
    await phone.page.reload();
    assert.equal(await phone.page.getByText('Not reached yet').count(), 0); // a test that was taken counts
  });

  for (const [fault, words] of Object.entries({
    503: /answered 503.*may pass/, 410: /does not know this phone any more.*Remove it/, 403: /It was refused.*403/,
  })) {
    it(`says what the provider answered: ${fault}`, async () => {
      const { phone } = await toldPhone();
      await failPush({ times: 1, status: Number(fault) });
      await phone.button(/^Send a test/).click();
      await phone.page.getByRole('status').getByText(words).waitFor();
      if (fault === '503') await phone.inspect('notifications-test-failed');
      phone.assertNoProblems();
    });
  }

  it('is removed, and is told no more', async () => {
    const { phone, push } = await toldPhone();
    await phone.page.locator('summary', { hasText: 'Remove' }).click();
    await phone.inspect('notifications-removing');
    await phone.button(/^Remove .*Chrom/).click();
    await phone.button('Turn on notifications').waitFor();
    await phone.page.getByText('Nowhere yet.').waitFor();
    assert.deepEqual(await registered(phone), []);
    const device = await NewDevice.ask(backend, phone.username, { notify: true });
    assert.equal(device.push, 'none');
    assert.equal(await push.pending(), 0);
    await device.abandon();
    phone.assertNoProblems();
  });

  it('is removed by its push service', async () => {
    const { phone, push } = await toldPhone();
    await push.end();
    const device = await NewDevice.ask(backend, phone.username, { notify: true });
    await device.awaitPush('failed');
    await phone.shows('/notifications', 'Nowhere yet.'); // it is removed after the message was settled
    await phone.open('/activity');
    await phone.page.getByText('Notifications cannot be delivered any more').waitFor();
    await device.abandon();
  });
});

describe('the keyboard alone', () => {
  it('turns notifications on, tests them, and removes the phone', async () => {
    const { phone, push } = await ownPhone();
    await phone.open('/');
    await phone.tabTo('Notifications');
    await phone.press('Enter');
    await phone.heading('Notifications').waitFor();
    await phone.tabTo('Turn on notifications');
    await phone.press('Enter');
    await phone.page.getByText('Notifications are on.').waitFor();
    await phone.tabTo(/^Send a test/);
    await phone.press('Enter');
    await phone.page.getByRole('status').getByText('The provider took it.').waitFor();
    await push.take();
    await phone.tabTo(/^Remove/);
    await phone.press('Enter');
    await phone.tabTo(/^Remove .*Chrom/);
    await phone.press('Enter');
    await phone.page.getByText('Nowhere yet.').waitFor();
  });
});

describe('the app', () => {
  it('can be installed', async () => {
    const { phone } = await ownPhone();
    await phone.open('/');
    await phone.page.evaluate(() => navigator.serviceWorker.ready);
    const { errors, manifest } = await phone.browser.cdp.send('Page.getAppManifest');
    assert.deepEqual(errors, []);
    assert.ok(manifest.icons.length >= 4, `${manifest.icons.length} icons`);
    const { installabilityErrors } = await phone.browser.cdp.send('Page.getInstallabilityErrors');
    // Playwright's contexts are private windows, and those install nothing.
    assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito'), []);
    for (const { url: icon } of manifest.icons) {
      const answer = await phone.browser.context.request.get(icon);
      assert.equal(answer.status(), 200, icon);
      assert.match(answer.headers()['content-type'], /^image\//, icon);
    }
  });

  it('says so where there is no connection, and goes on when there is one', async () => {
    const { phone } = await ownPhone();
    await phone.open('/');
    await phone.page.evaluate(() => navigator.serviceWorker.ready);
    await phone.browser.context.setOffline(true);
    await phone.open('/passkeys');
    await phone.heading('No connection').waitFor();
    assert.equal(phone.page.url(), `${url}/passkeys`);
    await phone.inspect('offline', { expected: /Failed to load resource|ERR_INTERNET_DISCONNECTED/ });
    const text = await phone.page.textContent('body');
    assert.ok(!text.includes(phone.username), 'the page that is kept names nobody');
    await phone.button('Try again').or(phone.page.getByRole('link', { name: 'Try again' })).click();
    await phone.page.getByRole('status').getByText('Still no connection.').waitFor();
    await phone.browser.context.setOffline(false);
    await phone.heading('Passkeys').waitFor();
  });

  it('keeps no page and no answer', async () => {
    const { phone } = await toldPhone();
    await phone.open('/activity');
    const kept = await phone.page.evaluate(async () => {
      const paths = [];
      for (const name of await caches.keys()) {
        for (const request of await (await caches.open(name)).keys()) paths.push(new URL(request.url).pathname);
      }
      return paths;
    });
    assert.deepEqual(kept.filter((path) => path !== '/offline' && !path.startsWith('/assets/')), []);
    assert.ok(kept.includes('/offline'), `${kept}`);
  });
});
