// What has to travel from the new device to the phone: the code that its owner
// types, or the number that proves they see the screen.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { NewDevice } from './lib/device.mjs';
import { Native } from './lib/native.mjs';
import { createClient } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';

let chrome;
/** @type {Native} */ let backend;
/** @type {Native} */ let picky;
/** @type {Phone} */ let phone;

before(async () => {
  backend = new Native(await createClient({ name: 'Acme TV' }));
  picky = new Native(await createClient({ name: 'Picky TV', flags: ['--match', 'pick'] }));
  chrome = await launch();
  phone = await Phone.enrolled(chrome);
});
after(() => chrome?.close());
// What a failed test leaves waiting is not on the next one's list.
afterEach(() => backend.invalidateAll(phone.username, { type: 'long' }));

const otherNumber = (number) => (number === '111111' ? '222222' : '111111');
/** What the browser itself says of a request that a test has refused. */
const logged = /Failed to load resource/;

describe('a typed code', () => {
  it('leads to the card, in whatever way it is grouped', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    await phone.open('/device');
    await phone.inspect('device');
    await phone.typeCode(`${device.code.slice(0, 3)} ${device.code.slice(3)}`);
    assert.equal(await phone.numberField().count(), 0, 'a typed code is its own number');
    await phone.page.getByText('you can see the screen').waitFor();
    await phone.inspect('review-typed');
    await phone.approve();
    await device.assertLetIn();
  });

  it('that is wrong is said to be, and no more', async () => {
    const device = await NewDevice.ask(backend, phone.username);
    await phone.open('/device');
    await phone.submitCode(otherNumber(device.code));
    await phone.page.getByRole('alert').waitFor();
    await phone.inspect('device-wrong', { expected: logged });
    await device.assertPending();
    await device.abandon();
  });
});

describe('a listed request', () => {
  it('needs the number on the screen', async () => {
    const device = await NewDevice.ask(backend, phone.username, { type: 'long' });
    assert.match(device.matchNumber, /^\d{6}$/);
    await phone.open('/');
    await phone.heading('Waiting for your answer').waitFor();
    await phone.inspect('home-waiting');
    await phone.openListed('Living-room TV');
    await phone.inspect('review-listed');
    await phone.typeNumber(otherNumber(device.matchNumber));
    await phone.pressApprove();
    await phone.page.getByText('2 tries left').first().waitFor();
    await phone.inspect('review-wrong-number', { expected: logged });
    await phone.typeNumber(device.matchNumber);
    await phone.approve();
    await device.assertLetIn();
  });

  it('is declined by three wrong numbers', async () => {
    const device = await NewDevice.ask(backend, phone.username, { type: 'long' });
    await phone.openListed('Living-room TV');
    for (const left of ['2 tries left', '1 try left']) {
      await phone.typeNumber(otherNumber(device.matchNumber));
      await phone.pressApprove();
      await phone.page.getByText(left).first().waitFor();
    }
    await phone.typeNumber(otherNumber(device.matchNumber));
    await phone.pressApprove();
    await device.assertTurnedAway();
    await phone.page.getByRole('link', { name: 'Go to the start page' }).waitFor();
    phone.assertNoProblems(logged);
  });

  it('shows up on a home page that is already open', async () => {
    const phone = await Phone.enrolled(chrome);
    await phone.page.clock.install();
    await phone.open('/');
    await phone.heading('Nothing is waiting').waitFor();
    const device = await NewDevice.ask(backend, phone.username, { type: 'long' });
    await phone.page.clock.runFor(3_000); // as long as the page pauses between two looks
    await phone.heading('Waiting for your answer').waitFor();
    await phone.page.getByRole('link', { name: 'Living-room TV' }).click();
    await phone.decline();
    await device.assertTurnedAway();
    await phone.close();
  });

  it('is declined without a number', async () => {
    const device = await NewDevice.ask(backend, phone.username, { type: 'long' });
    await phone.openListed('Living-room TV');
    await phone.decline();
    await device.assertTurnedAway();
  });

  it('with numbers to pick from is approved by the right one', async () => {
    const device = await NewDevice.ask(picky, phone.username, { type: 'long' });
    await phone.openListed('Living-room TV');
    const choices = await phone.page.getByRole('radio').evaluateAll((radios) => radios.map(({ value }) => value));
    assert.equal(choices.length, 3);
    assert.ok(choices.includes(device.matchNumber), `${device.matchNumber} in ${choices}`);
    await phone.inspect('review-pick');
    await phone.page.locator(`label:has(input[value="${device.matchNumber}"])`).click();
    await phone.approve();
    await device.assertLetIn();
  });

  it('with numbers to pick from is declined by a wrong one', async () => {
    const device = await NewDevice.ask(picky, phone.username, { type: 'long' });
    await phone.openListed('Living-room TV');
    const choices = await phone.page.getByRole('radio').evaluateAll((radios) => radios.map(({ value }) => value));
    const wrong = choices.find((choice) => choice !== device.matchNumber);
    await phone.page.locator(`label:has(input[value="${wrong}"])`).click();
    await phone.pressApprove();
    await device.assertTurnedAway();
    await phone.page.getByRole('link', { name: 'Go to the start page' }).waitFor();
    phone.assertNoProblems(logged);
  });
});
