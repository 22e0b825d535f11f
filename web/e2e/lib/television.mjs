// The television of the sample application: what stands on its screen.

import { Browser } from './browser.mjs';
import { setting } from './nod.mjs';

/** Long enough for a page that asks again after a pause of up to 8 s, and for a state that is held for 25 s. */
const recovery = 30_000;

/** How long a rotating QR code is shown (30 s), and is taken after that (5 s), and a little. */
const rotation = 40_000;

export class Television {
  /** A television that has opened the sample application. */
  static async open(chrome) {
    const television = new Television(await Browser.open(chrome, { size: { width: 1920, height: 1080 }, authenticator: false }));
    await television.page.goto(`${setting('E2E_ACME')}/`);
    return television;
  }

  /** A television that shows a code. */
  static async waiting(chrome) {
    const television = await Television.open(chrome);
    await television.shows('Waiting for your phone…');
    return television;
  }

  constructor(browser) {
    this.browser = browser;
    this.page = browser.page;
  }

  /** Waits until the line under the code says exactly this. */
  shows(text) {
    return this.page.getByRole('status').getByText(text, { exact: true }).waitFor({ timeout: recovery });
  }

  /** Waits until somebody is signed in. */
  signedIn(username) {
    return this.page.getByRole('heading', { name: `Signed in as ${username}`, exact: true }).waitFor({ timeout: recovery });
  }

  /** Waits until there is no code on the screen, and a button for a new one. */
  async offersAnother() {
    await this.page.getByRole('button', { name: 'Show a new code' }).waitFor();
    await this.page.locator('#ask').waitFor({ state: 'hidden' });
  }

  showAnother() {
    return this.page.getByRole('button', { name: 'Show a new code' }).click();
  }

  /** The code as it is shown: 'XXX XXX'. */
  code() {
    return this.page.locator('#code').textContent();
  }

  /** Waits until another code is on the screen, and returns that one. */
  async codeAfter(code) {
    const shown = this.page.locator('#code').filter({ hasNotText: code });
    await shown.waitFor({ timeout: recovery });
    return shown.textContent();
  }

  /** The address in the QR code. */
  approvalURL() {
    return this.page.locator('#qr').getAttribute('data-url');
  }

  /** Waits until another QR code is on the screen, and returns the address in it. */
  async approvalURLAfter(address) {
    await this.page.locator(`#qr:not([data-url="${address}"])`).waitFor({ timeout: rotation });
    return this.approvalURL();
  }

  /** The seconds left by the countdown. */
  async secondsLeft() {
    const [minutes, seconds] = (await this.page.locator('#clock').textContent()).split(':').map(Number);
    return minutes * 60 + seconds;
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
