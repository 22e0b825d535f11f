// A person's phone: what its owner does on nod's pages, by what they read there.

import assert from 'node:assert/strict';
import { Browser, patience } from './browser.mjs';
import { createUser, invite, newName, url } from './nod.mjs';

/** What the pages call things: roles and accessible names. */
const words = {
  createPasskey: 'Create a passkey',
  signIn: 'Sign in with a passkey',
  decline: 'Decline',
  approve: 'Approve with passkey',
  number: 'Number on the screen',
  code: 'Code',
  proceed: 'Continue',
  signOut: 'Sign out',
};

export class Phone {
  /** A phone without a passkey, signed out. */
  static async open(chrome, options) {
    return new Phone(await Browser.open(chrome, options));
  }

  /** A phone that has enrolled by an invitation and is signed in. */
  static async enrolled(chrome, username = newName('owner')) {
    await createUser(username);
    const phone = await Phone.open(chrome);
    await phone.enrol(await invite(username));
    phone.username = username;
    return phone;
  }

  /** Another phone of the same person, with a passkey of its own. */
  async another(chrome) {
    const phone = await Phone.open(chrome);
    await phone.enrol(await invite(this.username));
    phone.username = this.username;
    return phone;
  }

  constructor(browser) {
    this.browser = browser;
    this.page = browser.page;
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  heading(name) {
    return this.page.getByRole('heading', { level: 1, name });
  }

  /** Opens a path of nod, or a whole URL as a QR code gives it. */
  open(target) {
    return this.page.goto(new URL(target, url).href);
  }

  /** Creates a passkey by an invitation link; signed in afterwards. */
  async enrol(link) {
    await this.open(link);
    await this.button(words.createPasskey).click();
    await this.page.waitForURL(`${url}/`);
  }

  /**
   * Signs in where the page stands on the sign-in form: by its button, unless
   * conditional UI is faster.
   */
  async signIn() {
    const gone = this.page.waitForFunction(() => !document.querySelector('#signin'));
    await this.browser.setPresent(true);
    await Promise.race([gone, this.button(words.signIn).click()]);
    await gone;
  }

  /**
   * Signs out from the home page, and puts the phone down: a virtual
   * authenticator would answer the sign-in form's conditional UI at once.
   */
  async signOut() {
    await this.open('/');
    await this.browser.setPresent(false);
    await this.button(words.signOut).click();
    await this.heading('Sign in').waitFor();
  }

  /** Opens a request by its approval_url; the card is on the page afterwards. */
  async review(approvalURL) {
    await this.open(approvalURL);
    await this.button(words.decline).waitFor();
  }

  /** Opens the address of a QR code again and again, until it is refused because a newer one is shown. */
  async replaced(approvalURL) {
    const end = Date.now() + 10_000;
    for (let answer = await this.open(approvalURL); answer.status() !== 401; answer = await this.open(approvalURL)) {
      assert.equal(answer.status(), 200);
      assert.ok(Date.now() < end, 'the QR code that was replaced is still taken');
      await this.page.waitForTimeout(250);
    }
    await this.heading('Scan the newer QR code').waitFor();
  }

  /** Opens a page again and again until it shows a text. */
  async shows(path, text) {
    const end = Date.now() + patience;
    await this.open(path);
    while (!await this.page.getByText(text).isVisible()) {
      assert.ok(Date.now() < end, `${path} does not show "${text}"`);
      await this.page.waitForTimeout(100);
      await this.open(path);
    }
  }

  /** Types a code on /device; the card is on the page afterwards. */
  async typeCode(code) {
    await this.open('/device');
    await this.submitCode(code);
    await this.button(words.decline).waitFor();
  }

  async submitCode(code) {
    await this.page.getByLabel(words.code, { exact: true }).fill(code);
    await this.button(words.proceed).click();
  }

  /** Opens a request from the list on the home page. */
  async openListed(device) {
    await this.open('/');
    await this.page.getByRole('link', { name: device }).click();
    await this.button(words.decline).waitFor();
  }

  numberField() {
    return this.page.getByLabel(words.number);
  }

  typeNumber(number) {
    return this.numberField().fill(number);
  }

  /** The numbers to pick from. */
  choices() {
    return this.page.getByRole('radio').evaluateAll((radios) => radios.map(({ value }) => value));
  }

  /** Picks a number. */
  choose(number) {
    return this.page.locator(`label:has(input[value="${number}"])`).click();
  }

  /** Presses Approve and waits for the result page. */
  async approve() {
    await this.pressApprove();
    await this.heading('Approved').waitFor();
  }

  pressApprove() {
    return this.button(words.approve).click();
  }

  async decline() {
    await this.button(words.decline).click();
    await this.heading('Declined').waitFor();
  }

  /** The facts of the review card: {App: "Acme TV", Device: …}. */
  facts() {
    return this.page.evaluate(() => Object.fromEntries([...document.querySelectorAll('main dl > div')]
      .map((row) => [row.querySelector('dt').textContent.trim(), row.querySelector('dd').textContent.trim()])));
  }

  /** Where the focus is: the accessible text of that element. */
  focused() {
    return this.page.evaluate(() => document.activeElement?.textContent.trim() ?? '');
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  /** Moves the focus by Tab until it is on what is called that. */
  async tabTo(name) {
    const reached = [];
    for (let i = 0; i < 40; i++) {
      await this.press('Tab');
      reached.push(await this.focused());
      if (name instanceof RegExp ? name.test(reached.at(-1)) : reached.at(-1) === name) return;
    }
    assert.fail(`Tab does not lead to ${name}: ${JSON.stringify(reached)}`);
  }

  /** Has a copy of another phone's passkeys, as a thief would who has used them much since. */
  async copyPasskeys(phone) {
    for (const passkey of await phone.browser.passkeys()) {
      await this.browser.addPasskey({ ...passkey, signCount: passkey.signCount + 100 });
    }
  }

  /** The reference that the card's calls carry. */
  ref() {
    return this.page.evaluate(() => {
      const { way, secret } = document.querySelector('#decision').dataset;
      return { way, secret };
    });
  }

  /**
   * Makes one of the page's own calls, from the page.
   * @returns {Promise<{status: number, json: any}>}
   */
  call(path, body) {
    return this.page.evaluate(async ([path, body]) => {
      const response = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
      return { status: response.status, json: await response.json().catch(() => undefined) };
    }, [path, body]);
  }

  /** Answers request options with the phone's passkey: an AuthenticationResponseJSON. */
  assertion(publicKey) {
    return this.page.evaluate(async (json) => {
      const options = PublicKeyCredential.parseRequestOptionsFromJSON(json);
      return (await navigator.credentials.get({ publicKey: options })).toJSON();
    }, publicKey);
  }

  inspect(name, options) {
    return this.browser.inspect(name, options);
  }

  assertNoProblems(expected) {
    this.browser.assertNoProblems(expected);
  }

  close() {
    return this.browser.close();
  }
}

/** Asserts that both answers are offered alike, Decline first and focused. */
export async function assertFairChoice(phone) {
  const names = await phone.page.getByRole('button').allTextContents();
  const shown = names.map((name) => name.trim());
  assert.ok(shown.indexOf(words.decline) < shown.indexOf(words.approve), `order of buttons: ${shown}`);
  assert.equal(await phone.focused(), words.decline, 'focus');
  const [decline, approve] = await Promise.all([words.decline, words.approve].map((name) => phone.button(name).boundingBox()));
  assert.ok(Math.abs(decline.width - approve.width) <= 1 && Math.abs(decline.height - approve.height) <= 1,
    `sizes: Decline ${JSON.stringify(decline)}, Approve ${JSON.stringify(approve)}`);
  assert.ok(decline.height >= 48, `height of a touch target: got ${decline.height} px, want at least 48 px`);
}

