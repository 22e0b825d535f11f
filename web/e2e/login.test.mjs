// `nod login` in a terminal on one side, its owner's phone on the other.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { launch, patience } from './lib/browser.mjs';
import { killServer, setting, startServer, url } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';

/** One of the terminals that the Go side has started `nod login` in. */
class Terminal {
  constructor(name) {
    this.address = `${setting('E2E_LOGIN')}/${name}`;
  }

  /** Waits until the terminal has shown this; returns the match. */
  async shows(pattern) {
    const state = await this.#until(({ screen }) => pattern.test(screen), `shows ${pattern}`);
    return state.screen.match(pattern);
  }

  /** The code, once it is there to be typed. */
  async code() {
    return (await this.shows(/Type the code +([A-Z]{4}-[A-Z]{4})\r\n[^]*Waiting for your phone… \d+:\d\d left/))[1];
  }

  async assertExit(want) {
    const { exit, screen } = await this.#until(({ exit }) => exit !== null, 'ends');
    assert.equal(exit, want, `exit status; the terminal shows\n${screen}`);
    return screen;
  }

  async pressCtrlC() {
    assert.equal((await fetch(`${this.address}/ctrl-c`, { method: 'POST' })).status, 200);
  }

  async #until(ok, what) {
    for (const end = Date.now() + patience; ; await setTimeout(20)) {
      const state = await (await fetch(this.address)).json();
      if (ok(state)) return state;
      assert.ok(Date.now() < end, `the terminal never ${what}, but\n${state.screen}`);
    }
  }
}

let chrome;
/** @type {Phone} */ let phone;

before(async () => {
  chrome = await launch();
  phone = await Phone.enrolled(chrome);
});
after(() => chrome?.close());

describe('nod login', () => {
  it('prints the token when the phone has approved', async () => {
    const terminal = new Terminal('approved');
    await phone.typeCode(await terminal.code());
    await phone.heading('Sign in on build machine 7 with Acme CLI?').waitFor();
    await terminal.shows(/Opened on a phone\. Finish there\. \d+:\d\d left/);
    await phone.approve();
    const approved = Date.now();
    await terminal.shows(new RegExp(`Signed in as ${phone.username}\\.\\r\\n`));
    console.log(`the terminal said so ${Date.now() - approved} ms after the phone did`);
    const screen = await terminal.assertExit(0);
    const token = screen.match(/\r\n([\w-]+)\.([\w-]+)\.([\w-]+)\r\n$/);
    assert.ok(token, `no token at the end of\n${screen}`);
    const claims = JSON.parse(Buffer.from(token[2], 'base64url').toString('utf8'));
    assert.equal(claims.iss, url);
    assert.equal(claims.scope, 'openid profile');
  });

  it('is let in by the link in the QR code', async () => {
    const terminal = new Terminal('scanned');
    const code = await terminal.code();
    await terminal.shows(/Scan this with your phone:/);
    await phone.review(`${url}/device?user_code=${code}`);
    await phone.approve();
    await terminal.assertExit(0);
  });

  it('says that it was declined', async () => {
    const terminal = new Terminal('declined');
    await phone.typeCode(await terminal.code());
    await phone.decline();
    await terminal.shows(/Sign-in was declined\. Nothing was shared\.\r\n$/);
    await terminal.assertExit(3);
  });

  it('takes the request back when it is canceled, and the phone says so', async () => {
    const terminal = new Terminal('canceled');
    await phone.typeCode(await terminal.code());
    await terminal.pressCtrlC();
    await terminal.shows(/Canceled\. The code is no longer good\.\r\n$/);
    await terminal.assertExit(130);
    await phone.page.getByText('This request was canceled. Nothing was shared.').waitFor();
    assert.equal(await phone.button('Approve with passkey').count(), 0);
    phone.assertNoProblems();
  });

  it('goes on over a crash of the server', async () => {
    const terminal = new Terminal('restarted');
    const code = await terminal.code();
    await killServer();
    await terminal.shows(/Connection hiccup, still waiting\. Your code is still good\. \d+:\d\d left/);
    await startServer();
    await phone.typeCode(code);
    await phone.approve();
    await terminal.shows(new RegExp(`Signed in as ${phone.username}\\.\\r\\n`));
    await terminal.assertExit(0);
  });
});
