// Coming from somewhere else: a link on another site starts a navigation that
// leaves the Strict session cookie at home. The phone's pages cope with it, and
// give another site no more than that.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { launch, serveOrigin } from './lib/browser.mjs';
import { NewDevice } from './lib/device.mjs';
import { Native } from './lib/native.mjs';
import { createClient, createUser, invite, newName, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';

// A page with a link and a form to whatever its fragment says. localhost is one
// site whatever the port, so the page is opened by address.
const script = `addEventListener('DOMContentLoaded', () => {
  const target = decodeURIComponent(location.hash.slice(1));
  document.body.innerHTML = '<a>Go</a><form method="post" action="${url}/phone/requests/decline">' +
    '<input name="way" value="scanned"><input name="secret"><button>Harm</button></form>';
  document.querySelector('a').href = target;
  document.querySelector('[name="secret"]').value = target.split('/').at(-1);
});`;

let chrome;
let elsewhere;
/** @type {Native} */ let backend;
/** @type {Phone} */ let phone;
/** @type {NewDevice} */ let device;

before(async () => {
  backend = new Native(await createClient({ name: 'Acme TV' }));
  [chrome, elsewhere] = await Promise.all([launch(), serveOrigin(script)]);
  phone = await Phone.enrolled(chrome);
});
after(async () => {
  await Promise.all([chrome?.close(), elsewhere?.close()]);
});
beforeEach(async () => {
  device = await NewDevice.ask(backend, phone.username);
});

/** The other site's page about a target. */
const otherPage = (target) => `${elsewhere.origin.replace('localhost', '127.0.0.1')}/#${encodeURIComponent(target)}`;

const visit = (target) => phone.page.goto(otherPage(target));

/** The paths that the phone's page goes to from now on. */
function steps() {
  const paths = [];
  phone.page.on('request', (request) => {
    if (request.isNavigationRequest()) paths.push(new URL(request.url()).pathname);
  });
  return paths;
}

describe('a link on another site', () => {
  it('leads whoever is signed in to the card', async () => {
    await visit(device.approvalURL);
    await phone.page.getByRole('link', { name: 'Go' }).click();
    await phone.button('Decline').waitFor();
    assert.equal(phone.page.url(), device.approvalURL);
    await phone.approve();
    await device.assertLetIn();
    phone.assertNoProblems();
  });

  it('leads whoever is signed out to the sign-in, once, and from there to the card', async () => {
    await phone.signOut();
    await visit(device.approvalURL);
    const paths = steps();
    await phone.page.getByRole('link', { name: 'Go' }).click();
    await phone.heading('Sign in').waitFor();
    assert.deepEqual(paths.map((path) => path.split('/')[1]), ['a', 'arrive']);
    await phone.signIn();
    await phone.button('Decline').waitFor();
    assert.equal(phone.page.url(), device.approvalURL);
    await phone.decline();
    await device.assertTurnedAway();
    phone.assertNoProblems();
  });

  it('leads somebody with an invitation to their passkey', async () => {
    const username = newName('guest');
    await createUser(username);
    const guest = await Phone.open(chrome);
    await guest.page.goto(otherPage(await invite(username)));
    await guest.page.getByRole('link', { name: 'Go' }).click();
    await guest.heading(`Create a passkey for ${username}`).waitFor();
    await guest.button('Create a passkey').click();
    await guest.heading('Nothing is waiting').waitFor();
    guest.assertNoProblems();
    await guest.close();
    await device.abandon();
  });

  it('tells whoever opens an invitation who is signed in, and stays where it led', async () => {
    const username = newName('guest');
    await createUser(username);
    await visit(await invite(username));
    const paths = steps();
    await phone.page.getByRole('link', { name: 'Go' }).click();
    await phone.page.getByText(`You are signed in as ${phone.username} now. Afterwards you are signed in as ${username}.`).waitFor();
    assert.deepEqual(paths, ['/enrol']);
    await phone.inspect('enrol-replaces');
    await device.abandon();
  });

  it('leaves the way back open', async () => {
    await visit(device.approvalURL);
    const page = phone.page.url();
    await phone.page.getByRole('link', { name: 'Go' }).click();
    await phone.button('Decline').waitFor();
    await phone.page.goBack();
    assert.equal(phone.page.url(), page);
    await device.abandon();
  });
});

it('a form on another site decides nothing', async () => {
  await visit(device.approvalURL);
  await phone.page.getByRole('button', { name: 'Harm' }).click();
  await phone.heading('This came from another site').waitFor();
  await device.assertPending();
  await device.abandon();
});
