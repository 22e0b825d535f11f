// A real browser: contexts with a virtual authenticator, the errors their pages
// make, accessibility by axe, and screenshots in the sizes and colours that
// people look at.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import { setting, url } from './nod.mjs';

/** Starts Chromium: quiet on the network, and as root in a container. */
export const launch = () => chromium.launch({
  executablePath: setting('E2E_CHROMIUM'),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** How long any single thing on a page may take. */
export const patience = 10_000;

const sizes = [[390, 844], [1280, 800], [1920, 1080]];
const schemes = ['light', 'dark'];
const phoneSize = { width: 390, height: 844 };

/** One person's browser with one page, an authenticator of its own, and a list of what went wrong in it. */
export class Browser {
  /** Opens a context. Without authenticator it is a device that has no passkeys. */
  static async open(chrome, { size = phoneSize, authenticator = true } = {}) {
    const context = await chrome.newContext({ viewport: size, reducedMotion: 'reduce' });
    context.setDefaultTimeout(patience);
    const page = await context.newPage();
    const browser = new Browser(context, page);
    browser.cdp = await context.newCDPSession(page);
    if (authenticator) await browser.addAuthenticator();
    return browser;
  }

  constructor(context, page) {
    this.context = context;
    this.page = page;
    /** @type {string[]} errors of scripts and of the console since the last look */
    this.problems = [];
    page.on('pageerror', (err) => this.problems.push(`page error: ${err.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error') this.problems.push(`console: ${message.text()} (${message.location().url})`);
    });
  }

  /** Plugs in an authenticator that verifies its user without asking. */
  async addAuthenticator() {
    await this.cdp.send('WebAuthn.enable');
    const { authenticatorId } = await this.cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
        isUserVerified: true, automaticPresenceSimulation: true,
      },
    });
    this.authenticator = authenticatorId;
  }

  /** Forgets all passkeys: a virtual authenticator has room for three discoverable ones. */
  forgetPasskeys() {
    return this.cdp.send('WebAuthn.clearCredentials', { authenticatorId: this.authenticator });
  }

  /** The next ceremonies fail to verify their user, or succeed again. */
  setUserVerified(isUserVerified) {
    return this.cdp.send('WebAuthn.setUserVerified', { authenticatorId: this.authenticator, isUserVerified });
  }

  /**
   * Whether somebody is there to touch the authenticator. When nobody is,
   * ceremonies stay open; conditional UI does not sign in by itself.
   */
  setPresent(enabled) {
    return this.cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId: this.authenticator, enabled });
  }

  /** The browser was told to block notifications. */
  async denyNotifications() {
    const { targetInfo } = await this.cdp.send('Target.getTargetInfo');
    await this.cdp.send('Browser.setPermission', {
      permission: { name: 'notifications' }, setting: 'denied', origin: url, browserContextId: targetInfo.browserContextId,
    });
  }

  /** Puts a passkey on the authenticator, as passkeys lists it. */
  addPasskey(credential) {
    return this.cdp.send('WebAuthn.addCredential', { authenticatorId: this.authenticator, credential });
  }

  /** The passkeys on the authenticator. */
  async passkeys() {
    return (await this.cdp.send('WebAuthn.getCredentials', { authenticatorId: this.authenticator })).credentials;
  }

  /**
   * Asserts that nothing went wrong since the last look. A test that provokes a
   * refused request names it: the browser logs those as errors.
   * @param {RegExp} [expected] problems that may stand in the list
   */
  assertNoProblems(expected) {
    const found = this.problems.filter((problem) => !expected?.test(problem));
    this.problems = [];
    assert.deepEqual(found, [], 'errors in the browser');
  }

  /**
   * Inspects the page as it stands: no errors, no violation of WCAG 2.2 AA in
   * either colour scheme, and screenshots where they are wanted.
   * @param {string} name of the screenshots
   * @param {{expected?: RegExp, colours?: string[]}} options expected is as for
   *   assertNoProblems; colours are the parts of a long page whose contrast
   *   stands for that of the rest
   */
  async inspect(name, { expected, colours = [] } = {}) {
    for (const colorScheme of schemes) {
      await this.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      assert.deepEqual(await this.#violations(colorScheme, colours), [], `axe on ${name}, ${colorScheme}`);
      if (process.env.NOD_SCREENSHOTS) await this.#shoot(name, colorScheme);
    }
    await this.page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
    this.assertNoProblems(expected);
  }

  /** What axe finds: by every rule in the light, and in the dark by the one that colours can break. */
  async #violations(colorScheme, colours) {
    const found = [];
    if (colorScheme === 'light') {
      const axe = this.#axe().withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']);
      found.push(...await violations(colours.length > 0 ? axe.disableRules('color-contrast') : axe));
    }
    if (colorScheme === 'dark' || colours.length > 0) {
      const axe = this.#axe().withRules('color-contrast');
      found.push(...await violations(colours.reduce((axe, part) => axe.include(part), axe)));
    }
    return found;
  }

  /** No page of ours embeds another, and without the legacy mode each run opens a second page. */
  #axe() {
    return new AxeBuilder({ page: this.page }).setLegacyMode(true).options({ resultTypes: ['violations'] });
  }

  async #shoot(name, colorScheme) {
    const before = this.page.viewportSize();
    await mkdir(process.env.NOD_SCREENSHOTS, { recursive: true });
    for (const [width, height] of sizes) {
      await this.page.setViewportSize({ width, height });
      const file = path.join(process.env.NOD_SCREENSHOTS, `${name}-${width}x${height}-${colorScheme}.png`);
      await this.page.screenshot({ path: file });
    }
    await this.page.setViewportSize(before);
  }

  close() {
    return this.context.close();
  }
}

async function violations(axe) {
  const { violations } = await axe.analyze();
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target).join(', ')}`);
}

/** Serves one page and its script on a port of its own: another origin than nod's. */
export async function serveOrigin(script) {
  const server = createServer((request, response) => {
    const isScript = request.url === '/app.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(isScript ? script : '<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,"><script src="/app.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://localhost:${server.address().port}`, close: () => new Promise((resolve) => server.close(resolve)) };
}
