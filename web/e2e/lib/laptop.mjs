// A laptop without a passkey: what stands on nod's page /join.

import { Browser } from './browser.mjs';
import { Phone } from './phone.mjs';

/** Long enough for a page that asks again after a pause of up to 8 s, and for a call that is held for 25 s. */
const recovery = 30_000;

export class Laptop extends Phone {
  /** A laptop that has opened the page. It has an authenticator, and no passkey on it. */
  static async open(chrome) {
    const laptop = new Laptop(await Browser.open(chrome, { size: { width: 1280, height: 800 } }));
    await laptop.load();
    return laptop;
  }

  /** A laptop that shows a code. */
  static async waiting(chrome) {
    const laptop = await Laptop.open(chrome);
    await laptop.shows('Waiting for your phone…');
    return laptop;
  }

  load() {
    return this.page.goto(new URL('/join', process.env.E2E_URL).href);
  }

  /** Waits until the status line says exactly this. */
  shows(text) {
    return this.page.getByRole('status').getByText(text, { exact: true }).waitFor({ timeout: recovery });
  }

  /** The code as it is shown: 'XXXX-XXXX'. */
  code() {
    return this.page.locator('#code').textContent();
  }

  /** The address in the QR code. */
  approvalURL() {
    return this.page.locator('#qr').getAttribute('data-url');
  }

  /** Waits until nothing is shown that could be scanned or typed, and another code is offered. */
  async offersAnother() {
    await this.button('Show a new code').waitFor();
    await this.page.locator('#ask').waitFor({ state: 'hidden' });
  }

  /** Makes the passkey; on the page of passkeys afterwards. */
  async makePasskey() {
    await this.button('Create a passkey').click();
    await this.onPasskeys();
  }

  async onPasskeys() {
    await this.page.waitForURL(new URL('/passkeys', process.env.E2E_URL).href);
    await this.page.getByRole('status').getByText('was added. Your phones are told.').waitFor();
  }
}
