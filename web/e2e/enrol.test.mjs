// Enrolment: what an invitation's link shows, and where its secret is not.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { createUser, invite, newName, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';

let chrome;
/** @type {Phone[]} */ const phones = [];

before(async () => { chrome = await launch(); });
after(() => chrome?.close());
afterEach(async () => {
  await Promise.all(phones.splice(0).map((phone) => phone.close()));
});

/** A phone without a passkey; closed after the test. */
async function freshPhone() {
  const phone = await Phone.open(chrome);
  phones.push(phone);
  return phone;
}

/** A new user and a link for them. */
async function invited() {
  const username = newName('owner');
  await createUser(username);
  const link = await invite(username);
  assert.ok(link.startsWith(`${url}/enrol#`), `invitation ${link}`);
  return { username, link };
}

/** What the browser itself says of a request that was refused or did not get through. */
const logged = /Failed to load resource/;

const look = '**/phone/enrol/look';
const create = 'Create a passkey';
const over = 'This invitation is over';

/** Asserts that the page says that there is nothing to be had, and that eyes and ears are led there. */
async function assertOver(phone, title = over) {
  await phone.heading(title).waitFor();
  assert.equal(await phone.focused(), title, 'the focus');
  assert.match(await phone.page.title(), new RegExp(`^${title} · nod$`));
  assert.notEqual(await phone.page.getByRole('alert').textContent(), '', 'the reason');
  assert.equal(await phone.page.getByRole('button').count(), 0, 'buttons');
  await phone.page.getByRole('link', { name: 'Go to the start page' }).waitFor();
}

describe('an invitation', () => {
  it('creates a passkey, once', async () => {
    const { username, link } = await invited();
    const phone = await freshPhone();
    await phone.open(link);
    await phone.heading(`Create a passkey for ${username}`).waitFor();
    await phone.page.getByText('This invitation works once, until').waitFor();
    assert.equal(await phone.page.getByText('You are signed in as').isVisible(), false);
    assert.equal(await phone.page.getByText('Your recovery code').isVisible(), false);
    await phone.inspect('enrol');
    await phone.button(create).click();
    await phone.heading('Nothing is waiting').waitFor();
    const [passkey] = await phone.browser.passkeys();
    assert.equal(passkey.isResidentCredential, true);
    await phone.inspect('home-empty');

    const stranger = await freshPhone();
    await stranger.open(link);
    await assertOver(stranger);
    await stranger.inspect('enrol-spent', { expected: logged });
  });

  it('leaves the address bar, and is still there when the page is loaded again', async () => {
    const { username, link } = await invited();
    const phone = await freshPhone();
    await phone.open(link);
    for (let i = 0; i < 2; i++) {
      await phone.heading(`Create a passkey for ${username}`).waitFor();
      assert.equal(phone.page.url(), `${url}/enrol`);
      await phone.page.reload();
    }
    await phone.heading(`Create a passkey for ${username}`).waitFor();
    await phone.open('/');
    await phone.heading('Sign in').waitFor();
    await phone.page.goBack();
    await phone.button(create).click();
    await phone.heading('Nothing is waiting').waitFor();
    await phone.open('/enrol');
    await assertOver(phone, 'There is no invitation here');
    phone.assertNoProblems();
  });

  it('is looked at quietly', async () => {
    const { username, link } = await invited();
    const phone = await freshPhone();
    let answer;
    const answered = new Promise((resolve) => { answer = resolve; });
    await phone.page.route(look, async (route) => {
      await answered;
      await route.continue();
    });
    await phone.open(link);
    await phone.page.getByRole('status').getByText('Looking at your invitation…').waitFor();
    assert.equal(await phone.button(create).isDisabled(), true);
    for (const early of [over, 'works once', 'You are signed in as', 'Your recovery code']) {
      assert.equal(await phone.page.getByText(early).isVisible(), false, `"${early}" before it is known`);
    }
    await phone.inspect('enrol-looking');
    answer();
    await phone.heading(`Create a passkey for ${username}`).waitFor();
    assert.equal(await phone.page.locator('#status').textContent(), '', 'what was said while looking');
  });

  it('is looked at again after an interruption', async () => {
    const { username, link } = await invited();
    const phone = await freshPhone();
    await phone.page.route(look, (route) => route.abort(), { times: 1 });
    await phone.open(link);
    await phone.page.getByRole('status').getByText('The connection is interrupted.').waitFor();
    await phone.inspect('enrol-interrupted', { expected: logged });
    await phone.tabTo('Try again');
    await phone.press('Enter');
    await phone.heading(`Create a passkey for ${username}`).waitFor();
    assert.equal(await phone.focused(), create, 'the button keeps the focus');
    await phone.press('Enter');
    await phone.heading('Nothing is waiting').waitFor();
  });

  it('that another phone used meanwhile is over in place', async () => {
    const { username, link } = await invited();
    const late = await freshPhone();
    await late.open(link);
    await late.heading(`Create a passkey for ${username}`).waitFor();
    await (await freshPhone()).enrol(link);
    await late.button(create).click();
    await assertOver(late);
    assert.deepEqual(await late.browser.passkeys(), []);
    late.assertNoProblems(logged);
  });

  it('replaces another one in the same tab', async () => {
    const [first, second] = [await invited(), await invited()];
    const phone = await freshPhone();
    await phone.open(first.link);
    await phone.heading(`Create a passkey for ${first.username}`).waitFor();
    await phone.open(second.link);
    await phone.heading(`Create a passkey for ${second.username}`).waitFor();
    await phone.page.goBack();
    await phone.heading(`Create a passkey for ${first.username}`).waitFor();
    phone.assertNoProblems();
  });

  it('stays in the address where there are no passkeys', async () => {
    const { link } = await invited();
    const phone = await freshPhone();
    await phone.page.addInitScript(() => { delete globalThis.PublicKeyCredential; });
    await phone.open(link);
    await phone.page.getByRole('status').getByText('This browser has no passkeys.').waitFor();
    assert.equal(phone.page.url(), link, 'so that it can be opened in another browser');
    assert.equal(await phone.button(create).isDisabled(), true);
  });
});

it('the page without an invitation says what is missing', async () => {
  const phone = await freshPhone();
  await phone.open('/enrol');
  await assertOver(phone, 'There is no invitation here');
  await phone.page.getByRole('alert').getByText('This page needs the whole link.').waitFor();
  await phone.inspect('enrol-missing');
});
