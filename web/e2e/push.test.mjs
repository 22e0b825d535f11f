// A prompt that was really encrypted arrives at the real service worker, is
// tapped, and its owner decides.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { NewDevice } from './lib/device.mjs';
import { Native } from './lib/native.mjs';
import { createClient, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';
import { Push } from './lib/push.mjs';

let chrome;
/** @type {Native} */ let backend;
/** @type {Native} */ let picky;
/** @type {Phone[]} */ const phones = [];

before(async () => {
  backend = new Native(await createClient({ name: 'Acme TV' }));
  picky = new Native(await createClient({ name: 'Picky TV', flags: ['--match', 'pick', '--notify'] }));
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

/** An enrolled phone of the test's own, with notifications turned on. */
async function toldPhone() {
  const phone = untilTheEnd(await Phone.enrolled(chrome));
  const push = await Push.given(phone);
  await push.turnOn();
  return { phone, push };
}

/** A device that asks for somebody, whose phone is told. */
async function askAndTell(client, phone, push, options) {
  const device = await NewDevice.ask(client, phone.username, { notify: true, ...options });
  assert.equal(device.push, 'queued');
  const message = await push.deliver();
  return { device, message };
}

/** Taps the notification; the card is on the page afterwards. */
async function openPrompt(phone, push) {
  const { path } = await push.notification();
  await push.tap();
  await phone.page.waitForURL(url + path);
  await phone.button('Decline').waitFor();
}

const otherNumber = (number) => (number === '111111' ? '222222' : '111111');
/** What the browser itself says of a request that a test has refused. */
const logged = /Failed to load resource/;

describe('a prompt', () => {
  it('says nothing on the lock screen, and leads to a card that asks for the number', async () => {
    const { phone, push } = await toldPhone();
    const { device, message } = await askAndTell(backend, phone, push);
    assert.equal(message.urgency, 'high');
    assert.ok(message.ttl > 170 && message.ttl <= 180, `ttl ${message.ttl} s of three minutes`);
    const shown = await push.notification();
    assert.deepEqual([shown.title, shown.body, shown.silent], ['nod', 'A request waits for your answer. Open to see it.', false]);
    for (const secret of [device.code, device.matchNumber, 'Living-room', 'Acme', phone.username]) {
      assert.ok(!message.text.includes(secret) && !JSON.stringify(shown).includes(secret), `the message holds ${secret}`);
    }
    assert.ok(!device.approvalURL.endsWith(shown.path), 'a handle of its own');

    await openPrompt(phone, push);
    assert.deepEqual(await push.notifications(), [], 'what was tapped is gone');
    await device.awaitState('opened');
    await phone.inspect('review-pushed');
    await phone.typeNumber(otherNumber(device.matchNumber));
    await phone.pressApprove();
    await phone.page.getByText('2 tries left').first().waitFor();
    await phone.inspect('review-pushed-wrong', { expected: logged });
    await phone.typeNumber(device.matchNumber);
    await phone.approve();
    await device.assertLetIn();
    phone.assertNoProblems(logged);
  });

  it('is declined by three wrong numbers', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(backend, phone, push, { type: 'long' });
    await openPrompt(phone, push);
    for (const left of ['2 tries left', '1 try left']) {
      await phone.typeNumber(otherNumber(device.matchNumber));
      await phone.pressApprove();
      await phone.page.getByText(left).first().waitFor();
    }
    await phone.typeNumber(otherNumber(device.matchNumber));
    await phone.pressApprove();
    await device.assertTurnedAway();
    await phone.page.getByRole('link', { name: 'Go to the start page' }).waitFor();
    await phone.inspect('review-pushed-over', { expected: logged });
  });

  it('with numbers to pick from is approved by the right one', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(picky, phone, push);
    await openPrompt(phone, push);
    assert.equal((await phone.choices()).length, 3);
    await phone.inspect('review-pushed-pick');
    await phone.choose(device.matchNumber);
    await phone.approve();
    await device.assertLetIn();
    phone.assertNoProblems();
  });

  it('with numbers to pick from is declined by a wrong one', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(picky, phone, push);
    await openPrompt(phone, push);
    await phone.choose((await phone.choices()).find((choice) => choice !== device.matchNumber));
    await phone.pressApprove();
    await device.assertTurnedAway();
    phone.assertNoProblems(logged);
  });

  it('that comes after its time is shown quietly, and leads to words that say so', async () => {
    const { phone, push } = await toldPhone();
    const { device, message } = await askAndTell(backend, phone, push);
    await device.abandon();
    const { path } = await push.notification();
    await phone.open(path);
    await phone.page.getByText('canceled').first().waitFor();
    await phone.inspect('prompt-too-late', { expected: logged });
    const late = { ...JSON.parse(message.text), expires_at: new Date(Date.now() - 1000).toISOString() };
    await push.push(JSON.stringify(late));
    const { body, silent } = await push.notification();
    assert.deepEqual([body, silent], ['This request has run out.', true]);
  });

  it('of somebody else opens nothing', async () => {
    const { phone, push } = await toldPhone();
    const other = untilTheEnd(await Phone.enrolled(chrome));
    const { device } = await askAndTell(backend, phone, push);
    const { path } = await push.notification();
    const answer = await other.open(path);
    assert.ok(answer.status() >= 400, `got ${answer.status()}`);
    assert.equal(await other.button('Approve with passkey').count(), 0);
    assert.ok(!(await other.page.textContent('body')).includes('Living-room TV'));
    await other.inspect('prompt-of-another', { expected: logged });
    await device.assertPending();
    await device.abandon();
  });

  it('leads whoever is signed out over the sign-in', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(backend, phone, push);
    const { path } = await push.notification();
    await phone.browser.setPresent(false); // or conditional UI is faster
    await phone.browser.context.clearCookies();
    await phone.open(path);
    await phone.heading('Sign in').waitFor();
    await phone.signIn();
    await phone.page.waitForURL(url + path);
    await phone.typeNumber(device.matchNumber);
    await phone.approve();
    await device.assertLetIn();
  });

  it('whatever a message says, words and ways stay nod\'s', async () => {
    const { phone, push } = await toldPhone();
    const hostile = [
      '{"type":"prompt","id":"../../evil","title":"You have won","body":"Open"}',
      '{"type":"notice","notice":"__proto__","url":"https://evil.example/"}',
      '{"type":"constructor"}', 'null', '[]', 'not JSON',
    ];
    for (const text of hostile) {
      await push.push(text);
      const { title, body, path } = await push.notification();
      assert.deepEqual([title, body], ['nod', 'Something happened. Open to see what.']);
      assert.ok(['/', '/activity'].includes(path), path);
    }
    phone.assertNoProblems();
  });
});

describe('two declines', () => {
  it('mute push, and nothing else, until somebody approves', async () => {
    const { phone, push } = await toldPhone();
    for (let i = 0; i < 2; i++) {
      const { device } = await askAndTell(backend, phone, push, { type: 'long' });
      await openPrompt(phone, push);
      await phone.decline();
      await device.assertTurnedAway();
    }
    const device = await NewDevice.ask(backend, phone.username, { type: 'long', notify: true });
    assert.equal(device.push, 'none');
    await phone.open('/notifications');
    await phone.page.getByText('push is silent until').waitFor();
    await phone.inspect('notifications-muted');
    await phone.openListed('Living-room TV');
    await phone.typeNumber(device.matchNumber);
    await phone.approve();
    await device.assertLetIn();
    assert.equal(await push.pending(), 0);

    const { device: next } = await askAndTell(backend, phone, push);
    await phone.open('/notifications');
    assert.equal(await phone.page.getByText('push is silent until').count(), 0);
    await phone.review(next.approvalURL);
    await phone.approve();
    await next.assertLetIn();
    phone.assertNoProblems();
  });
});

describe('a second opener', () => {
  it('is told, and so is the first, and the activity page', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(backend, phone, push);
    await openPrompt(phone, push);
    await phone.facts().then((facts) => assert.equal(facts.Opened, undefined));
    const second = untilTheEnd(await phone.another(chrome));
    await second.review(device.approvalURL);
    await second.button('Decline').waitFor();
    await second.page.getByText('This request was opened on another phone too.').waitFor();
    assert.equal((await second.facts()).Opened, 'On another phone too');
    await second.inspect('review-second');
    await phone.page.getByRole('status').getByText('This request was opened on another phone too.').waitFor();
    assert.equal((await phone.facts()).Opened, 'On another phone too');
    await phone.inspect('review-first');
    assert.equal((await device.state()).opened_elsewhere, true);

    await phone.decline();
    await second.page.waitForURL(`${url}/r/**`); // it is over there as well
    await device.assertTurnedAway();
    await phone.open('/activity');
    await phone.page.getByText(/Another phone or browser looked at/).waitFor();
    await phone.inspect('activity-second');
    second.assertNoProblems();
  });
});

describe('a notice', () => {
  it('says that another phone\'s passkey was copied, and was stopped', async () => {
    const { phone, push } = await toldPhone();
    const other = untilTheEnd(await phone.another(chrome));
    assert.equal(JSON.parse((await push.take()).text).notice, 'passkey_added');
    const thief = untilTheEnd(await Phone.open(chrome));
    await thief.copyPasskeys(other);
    await thief.open('/');
    await thief.signIn(); // its counter is ahead of the owner's now
    const device = await NewDevice.ask(backend, phone.username);
    await other.review(device.approvalURL);
    await other.pressApprove();
    const message = await push.deliver();
    assert.equal(JSON.parse(message.text).notice, 'passkey_suspended');
    const { body, path } = await push.notification();
    assert.deepEqual([body, path], ['A passkey of yours was stopped. Open to see why.', '/activity']);
    await device.assertPending();
    await device.abandon();
    await push.tap();
    await phone.page.waitForURL(`${url}/activity`);
    await phone.page.getByText('its counter went backwards').waitFor();
    await phone.inspect('activity-suspended');
  });
});

describe('where a device is', () => {
  it('is shown, and warned of when that is another country', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(backend, phone, push, { requester_ip: '198.51.100.9' });
    await openPrompt(phone, push);
    const facts = await phone.facts();
    assert.equal(facts.Near, 'Utrecht, Netherlands (another country)'); // as the app says
    assert.match(facts['Waits from'], /near Berlin, Germany$/); // as nod sees
    await phone.page.getByText('The device seems to be in another country').waitFor();
    assert.equal(await phone.page.locator('.warning').count(), 1);
    await phone.inspect('review-other-country');
    await phone.decline();
    await device.assertTurnedAway();
  });

  it('is said to be this phone\'s own network', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(backend, phone, push, { requester_ip: '127.0.0.1' });
    await openPrompt(phone, push);
    assert.equal((await phone.facts()).Network, 'Same network as this phone');
    assert.equal(await phone.page.locator('.warning').count(), 0);
    await phone.inspect('review-same-network');
    await phone.decline();
    await device.assertTurnedAway();
  });
});

describe('the keyboard alone', () => {
  it('types the number and approves', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(backend, phone, push);
    await openPrompt(phone, push);
    assert.equal(await phone.focused(), 'Decline');
    await phone.press('ArrowUp');
    await phone.page.keyboard.type(device.matchNumber);
    await phone.press('ArrowDown');
    assert.equal(await phone.focused(), 'Decline');
    await phone.press('ArrowRight');
    assert.equal(await phone.focused(), 'Approve with passkey');
    await phone.press('Enter');
    await phone.heading('Approved').waitFor();
    await device.assertLetIn();
  });

  it('picks a number and approves', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(picky, phone, push);
    await openPrompt(phone, push);
    const choices = await phone.choices();
    await phone.press('ArrowUp');
    for (let i = choices.length - 1; i > choices.indexOf(device.matchNumber); i--) await phone.press('ArrowUp');
    await phone.press('Enter');
    await phone.press('Enter');
    await phone.heading('Approved').waitFor();
    await device.assertLetIn();
  });

  it('declines', async () => {
    const { phone, push } = await toldPhone();
    const { device } = await askAndTell(backend, phone, push);
    await openPrompt(phone, push);
    await phone.press('Enter');
    await phone.heading('Declined').waitFor();
    await device.assertTurnedAway();
  });
});
