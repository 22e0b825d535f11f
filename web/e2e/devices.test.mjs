// After the decision: what is signed in and how it is signed out, taking an approval
// back, and saying that it was somebody else.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { NewDevice, about } from './lib/device.mjs';
import { Native, assertError, request } from './lib/native.mjs';
import { OAuthClient } from './lib/oauth.mjs';
import { allScopes, createClient, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';

let chrome;
/** @type {Native} */ let backend;
/** @type {Phone[]} */ const phones = [];

before(async () => {
  backend = new Native(await createClient({ name: 'Acme TV', scopes: [...allScopes, 'devices.list', 'devices.revoke'] }));
  chrome = await launch();
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

const ownPhone = async () => untilTheEnd(await Phone.enrolled(chrome));

/** A device that the phone's owner has let in, of that name and from that address. */
async function letIn(phone, name, address = about.requester_ip) {
  const device = await NewDevice.ask(backend, phone.username, { device_name: name, requester_ip: address });
  await phone.review(device.approvalURL);
  await phone.approve();
  device.sid = (await device.assertLetIn()).sid;
  return device;
}

/** What nod tells a backend of a device: {active, revoked_by …}. */
async function standing(phone, device) {
  const { devices } = await backend.ok('/devices/list', 'devices.list', { client_id: backend.id, username: phone.username, device: { id: device.sid } });
  return devices[0];
}

async function assertActive(phone, device, active) {
  assert.equal((await standing(phone, device)).active, active, `${device.sid} active`);
}

/** The names of the devices on the page, newest first. */
const listed = (phone) => phone.page.locator('main > .records > li > h2').allTextContents();

/** Opens what is closed under that name, and presses the button in it. */
async function unfold(phone, summary, button) {
  await phone.page.locator('summary', { hasText: summary }).first().click();
  await phone.button(button).click();
}

describe('signed-in devices', () => {
  it('are listed with where, when and how, and signed out one by one', async () => {
    const phone = await ownPhone();
    await phone.open('/devices');
    await phone.page.getByText('Nothing is signed in as you.').waitFor();
    await phone.inspect('devices-empty');

    const kitchen = await letIn(phone, 'Kitchen radio', '198.51.100.20');
    const television = await letIn(phone, 'Living-room TV');
    const cli = await OAuthClient.device('Acme CLI', '--scope', 'openid', '--scope', 'offline_access');
    const asked = await cli.ask({ scope: 'openid offline_access', nod_device_name: 'terminal on yew' });
    await phone.open(asked.link);
    await phone.approve();
    await asked.outcome;

    await phone.open('/');
    await phone.page.getByRole('link', { name: 'Where you are signed in' }).click();
    await phone.heading('Signed-in devices').waitFor();
    assert.equal((await listed(phone)).length, 3);
    const line = phone.page.getByRole('listitem').filter({ has: phone.page.getByRole('heading', { name: 'Living-room TV' }) });
    for (const part of ['Acme TV', '203.0.113.7', 'Last seen', 'With your passkey', 'by QR code or link']) await line.getByText(part).first().waitFor();
    await phone.page.getByText('stay signed in until you revoke it').waitFor();
    await phone.inspect('devices');

    await line.locator('summary').click();
    await phone.inspect('devices-sign-out');
    await line.getByRole('button', { name: 'Sign out Living-room TV' }).click();
    await phone.page.getByRole('heading', { name: 'Signed out lately' }).waitFor();
    assert.ok(!(await listed(phone)).includes('Living-room TV'), 'it is still listed');
    await assertActive(phone, television, false);
    assert.equal((await standing(phone, television)).revoked_by, 'owner');
    await assertActive(phone, kitchen, true);
    phone.assertNoProblems();
  });

  it('are signed out all at once, with every other browser, but not this phone', async () => {
    const phone = await ownPhone();
    const laptop = untilTheEnd(await phone.another(chrome));
    await laptop.browser.setPresent(false); // or its home page, which notices, would sign in again by itself
    const [kitchen, television] = [await letIn(phone, 'Kitchen radio'), await letIn(phone, 'Living-room TV')];
    await phone.open('/devices');
    await phone.page.getByText('this phone', { exact: true }).waitFor();
    await phone.page.locator('summary', { hasText: 'Sign out everywhere' }).click();
    await phone.page.getByText('This phone stays signed in.').waitFor();
    await phone.inspect('devices-everywhere');
    await phone.button('Sign out everywhere else').click();
    await phone.page.getByText('Nothing is signed in as you.').waitFor();
    await phone.inspect('devices-signed-out');
    for (const device of [kitchen, television]) await assertActive(phone, device, false);
    await laptop.open('/devices');
    await laptop.heading('Sign in').waitFor();
    phone.assertNoProblems();
  });

  it('end without scripts, too, and so does another browser', async () => {
    const phone = await ownPhone();
    const laptop = untilTheEnd(await phone.another(chrome));
    await laptop.browser.setPresent(false); // or its home page, which notices, would sign in again by itself
    await phone.open('/devices');
    const other = phone.page.getByRole('listitem').filter({ hasNot: phone.page.getByText('this phone', { exact: true }) });
    await other.getByRole('button', { name: /^Sign out/ }).click();
    await phone.heading('Signed-in devices').waitFor();
    await laptop.open('/activity');
    await laptop.heading('Sign in').waitFor();
    await phone.open('/activity');
    await phone.page.getByText(/A browser was signed out of nod/).waitFor();
  });

  it('cannot be signed out by somebody else', async () => {
    const [phone, stranger] = [await ownPhone(), await ownPhone()];
    const television = await letIn(phone, 'Living-room TV');
    await stranger.open('/devices');
    const answer = await stranger.page.evaluate(async (device) => (await fetch('/phone/devices/revoke', {
      method: 'POST', body: new URLSearchParams({ device }), redirect: 'manual',
    })).status, television.sid);
    assert.equal(answer, 404);
    await assertActive(phone, television, true);
  });
});

describe('a passkey that is deleted', () => {
  it('offers to sign out what it let in', async () => {
    const lost = await ownPhone();
    const [kitchen, television] = [await letIn(lost, 'Kitchen radio'), await letIn(lost, 'Living-room TV')];
    const phone = untilTheEnd(await lost.another(chrome));
    const laptop = await letIn(phone, 'Laptop');
    await phone.open('/passkeys');
    const line = phone.page.locator('.records > li').filter({ hasNotText: 'this session' });
    await line.locator('summary', { hasText: 'Delete' }).click();
    await line.getByRole('button', { name: /^Delete/ }).click();
    await phone.page.getByRole('heading', { name: '2 devices that the deleted passkey let in are still signed in' }).waitFor();
    await phone.inspect('passkeys-left');
    await phone.button('Sign all 2 out').click();
    await phone.page.getByRole('heading', { name: 'still signed in' }).waitFor({ state: 'detached' });
    for (const device of [kitchen, television]) await assertActive(phone, device, false);
    await assertActive(phone, laptop, true);
    phone.assertNoProblems();
  });
});

describe('undo', () => {
  it('signs out what the approval has just let in', async () => {
    const phone = await ownPhone();
    const television = await letIn(phone, 'Living-room TV');
    await phone.inspect('result-undo');
    await phone.button('Undo').click();
    await phone.heading('Approved, and signed out').waitFor();
    await phone.inspect('result-undone-late');
    await assertActive(phone, television, false);
    const again = await backend.wait(phone.username, television.code, { no_wait: true });
    assertError(again, 403, 'failed_to_authenticate');
    phone.assertNoProblems();
  });

  it('leaves nothing to collect where nobody has yet', async () => {
    const phone = await ownPhone();
    const asked = await backend.generate(phone.username, { ...about });
    await phone.review(asked.approval_url);
    await phone.approve();
    await phone.button('Undo').click();
    await phone.heading('Undone').waitFor();
    await phone.inspect('result-undone');
    assertError(await backend.wait(phone.username, asked.code), 403, 'failed_to_authenticate');
    await phone.open('/activity');
    await phone.page.getByText(/You took back your approval of/).waitFor();
  });
});

describe('a request that was not the owner\'s', () => {
  it('is reported on the card, which shows what else came from there', async () => {
    const phone = await ownPhone();
    const from = '198.51.100.77';
    const [kitchen, radio] = [await letIn(phone, 'Kitchen TV', from), await letIn(phone, 'Radio', from)];
    const elsewhere = await letIn(phone, 'Laptop');
    const device = await NewDevice.ask(backend, phone.username, { requester_ip: from });
    await phone.review(device.approvalURL);
    await phone.inspect('review-report');
    await phone.button('I did not start this: report').click();
    await phone.heading('Reported').waitFor();
    await device.assertTurnedAway();
    await phone.page.getByText(/No notifications are sent until/).waitFor();
    await phone.page.getByRole('heading', { name: 'Signed in from the same network' }).waitFor();
    assert.equal(await phone.page.getByText('Laptop').count(), 0, 'what came from elsewhere is shown');
    await phone.inspect('result-reported');

    await phone.button('Sign out Radio').click();
    await phone.heading('Reported').waitFor();
    await assertActive(phone, radio, false);
    await assertActive(phone, kitchen, true);
    await phone.button('Sign out Kitchen TV').click();
    await phone.heading('Reported').waitFor();
    await assertActive(phone, kitchen, false);
    await assertActive(phone, elsewhere, true);
    phone.assertNoProblems();
  });

  it('is reported after a decline, and all that came from there is signed out at once', async () => {
    const phone = await ownPhone();
    const from = '198.51.100.78';
    const devices = [await letIn(phone, 'Kitchen TV', from), await letIn(phone, 'Radio', from)];
    const device = await NewDevice.ask(backend, phone.username, { requester_ip: from });
    await phone.review(device.approvalURL);
    await phone.decline();
    await phone.page.getByRole('heading', { name: 'Someone else?' }).waitFor();
    await phone.inspect('result-declined');
    await phone.button('Report: this was not me').click();
    await phone.button('Sign all of these out').click();
    await phone.heading('Reported').waitFor();
    assert.equal(await phone.page.getByText('Signed in from the same network').count(), 0);
    for (const each of devices) await assertActive(phone, each, false);
    await phone.open('/activity');
    await phone.page.getByText(/You reported a sign-in on Living-room TV/).waitFor();
    await phone.inspect('activity-reported');
    phone.assertNoProblems();
  });

  it('is reported after an approval, which is undone', async () => {
    const phone = await ownPhone();
    const television = await letIn(phone, 'Living-room TV');
    await phone.button('Report: this was not me').click();
    await phone.heading('Reported').waitFor();
    await phone.page.getByText('What was let in is signed out.').waitFor();
    await assertActive(phone, television, false);
    phone.assertNoProblems();
  });

  it('is reported with the keyboard alone, after both answers', async () => {
    const phone = await ownPhone();
    const device = await NewDevice.ask(backend, phone.username);
    await phone.review(device.approvalURL);
    assert.equal(await phone.focused(), 'Decline');
    await phone.press('Tab');
    assert.equal(await phone.focused(), 'Approve with passkey');
    await phone.press('Tab');
    assert.equal(await phone.focused(), 'I did not start this: report');
    await phone.press('Enter');
    await phone.heading('Reported').waitFor();
    await device.assertTurnedAway();
  });
});

describe('backends', () => {
  it('sign a user out by request, before and after it was collected', async () => {
    const phone = await ownPhone();
    const television = await letIn(phone, 'Living-room TV');
    const revoke = (which) => backend.ok('/devices/revoke', 'devices.revoke', { client_id: backend.id, username: phone.username, ...which });
    const { devices } = await revoke({ request_id: television.requestID });
    assert.deepEqual(devices.map(({ id, active, revoked_by: by }) => ({ id, active, by })), [{ id: television.sid, active: false, by: 'backend' }]);
    await phone.open('/devices');
    await phone.page.getByText(/By the app/).waitFor();
    const without = await request(url, '/devices/list', { method: 'POST', body: { client_id: backend.id, username: phone.username } });
    assertError(without, 401);
  });
});
