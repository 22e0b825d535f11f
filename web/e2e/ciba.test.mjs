// CIBA with people: a backend asks somebody it knows, who compares a message, reads
// what would be allowed, and decides on a phone.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { OAuthClient } from './lib/oauth.mjs';
import { Phone, assertFairChoice } from './lib/phone.mjs';

let chrome;
/** @type {OAuthClient} */ let bank;
/** @type {Phone} */ let phone;

before(async () => {
  bank = await OAuthClient.backend('Acme Bank', '--scope', 'openid', '--scope', 'pay=pay from your account');
  chrome = await launch();
  phone = await Phone.enrolled(chrome);
});
after(() => chrome?.close());

const message = 'Transfer 4711 💶 振込';

const payment = { type: 'payment_initiation', instructedAmount: { currency: 'EUR', amount: '123.50' }, creditorName: 'Merchant A' };

/** More than fits the frame. */
const payments = [
  { ...payment, actions: ['initiate', 'status', 'cancel'], creditorAccount: { bic: 'ABCIDEFFXXX', iban: 'DE02100100109307118603' } },
  { type: 'https://files.example/read', datatypes: ['contacts', 'photos'], lines: [{ text: 'Coffee machine' }, { text: 'Water filter', urgent: false }] },
];

const ask = (more) => bank.askFor(phone.username, { scope: 'openid pay', binding_message: message, authorization_details: [payment], ...more });

/** Opens what the bank asks from the home page. */
const open = () => phone.openListed('Acme Bank');

const confirmation = () => phone.page.getByRole('checkbox', { name: 'My device shows the same message' });

/** What has the focus: the name of a field, an id, or the words of a button. */
const focus = () => phone.page.evaluate(() => {
  const here = document.activeElement;
  return here?.getAttribute('name') || here?.id || here?.textContent?.trim() || '';
});

/** Whether the whole of an element is in sight. */
const inSight = async (locator) => {
  const box = await locator.boundingBox();
  const { height } = phone.page.viewportSize();
  return box.y >= 0 && box.y + box.height <= height;
};

describe('a backend that asks', () => {
  it('shows its message, what it may do, and all details', async () => {
    const asked = await ask();
    await open();
    await phone.heading('Acme Bank asks for your approval').waitFor();
    assert.equal(await phone.page.locator('.message').textContent(), message);
    assert.deepEqual(await phone.page.locator('.scopes li').allTextContents(), ['Know who you are', 'Pay from your account']);
    const facts = await phone.facts();
    assert.deepEqual([facts['Waits from'], facts.Network], [undefined, undefined], 'where the backend is says nothing');
    assert.deepEqual([facts.Currency, facts.Amount, facts['Creditor name']], ['EUR', '123.50', 'Merchant A']);
    await phone.page.getByRole('heading', { level: 3, name: 'Payment initiation' }).waitFor();
    assert.ok(!(await phone.page.locator('main').textContent()).includes('{'), 'no JSON');
    await assertFairChoice(phone);
    for (const name of ['Decline', 'Approve with passkey']) assert.ok(await inSight(phone.button(name)), `${name} is in sight`);
    await phone.inspect('review-ciba');
    await confirmation().check();
    await phone.approve();
    const claims = await asked.assertLetIn();
    assert.deepEqual(claims.authorization_details, [payment]);
    await phone.page.getByText('The app goes on by itself').or(phone.page.getByText('The app has gone on by itself')).waitFor();
    await phone.inspect('result-ciba');
    await phone.open('/activity');
    await phone.page.getByText('You approved a request of Acme Bank').waitFor();
    await phone.inspect('activity-ciba');
  });

  it('is not approved before its message was compared', async () => {
    const asked = await ask();
    await open();
    await phone.pressApprove();
    assert.equal(await focus(), 'number'); // the confirmation
    const { status, json } = await phone.call('/phone/requests/approve/options', { ref: await phone.ref() });
    assert.deepEqual([status, json.code], [422, 'message_not_confirmed']);
    await phone.decline();
    await asked.assertRefused('access_denied');
    phone.assertNoProblems(/Failed to load resource/);
  });

  it('is answered by Tab and Space', async () => {
    const asked = await ask();
    await open();
    assert.equal(await focus(), 'Decline');
    await phone.press('Shift+Tab');
    assert.equal(await focus(), 'number', 'details that fit are no stop on the way');
    await phone.press('Space');
    assert.equal(await confirmation().isChecked(), true);
    await phone.press('Tab');
    assert.equal(await focus(), 'Decline');
    await phone.press('Tab');
    assert.equal(await focus(), 'Approve with passkey');
    await phone.press('Enter');
    await phone.heading('Approved').waitFor();
    await asked.assertLetIn();
    phone.assertNoProblems();
  });

  it('is answered by a D-pad, which reads all of the details on its way', async () => {
    const asked = await ask({
      authorization_details: payments,
      binding_message: 'Order 4711 for the office kitchen: a coffee machine and a water filter, EUR 123.50 to Merchant A',
    });
    await open();
    await phone.page.getByText('There is more.').waitFor();
    await phone.inspect('review-ciba-long');
    await phone.press('ArrowUp');
    assert.equal(await focus(), 'details');
    await phone.press('ArrowUp');
    assert.equal(await focus(), 'number');
    assert.ok(await inSight(confirmation()), 'the confirmation is in sight');
    await phone.inspect('review-ciba-focus');
    await phone.press('Enter');
    assert.equal(await confirmation().isChecked(), true);
    await phone.press('ArrowDown');
    assert.equal(await focus(), 'details');
    await phone.page.waitForFunction(() => document.querySelector('#details').scrollTop === 0);
    let presses = 0;
    for (; await focus() === 'details' && presses < 100; presses++) await phone.press('ArrowDown');
    assert.ok(presses > 1, `details were left after ${presses} presses`);
    assert.equal(await focus(), 'Decline');
    await phone.press('ArrowRight');
    await phone.press('Enter');
    await phone.heading('Approved').waitFor();
    await asked.assertLetIn();
    phone.assertNoProblems();
  });

  it('with nothing to compare is warned of', async () => {
    const asked = await ask({ binding_message: '', scope: 'openid', authorization_details: '' });
    await open();
    await phone.page.getByText('Nothing ties this request').waitFor();
    assert.equal(await phone.page.locator('.warning').count(), 1);
    await phone.inspect('review-ciba-bare');
    await phone.decline();
    await asked.assertRefused('access_denied');
    await phone.inspect('result-ciba-declined');
  });

  it('is told when nobody has answered', async () => {
    const asked = await ask({ requested_expiry: '10' });
    await open();
    await phone.page.getByText('Start again where you began.').waitFor({ timeout: 15_000 });
    await phone.inspect('review-ciba-ran-out');
    await asked.assertRefused('expired_token');
  });
});
