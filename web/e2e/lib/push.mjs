// Push as a browser has it: a subscription of the push service that the Go side
// runs, messages that it has decrypted, and the way from there into the page's
// own service worker, which no push service of this machine could take.

import assert from 'node:assert/strict';
import { setting, url } from './nod.mjs';

async function control(call, body) {
  const response = await fetch(`${setting('E2E_PUSH')}/${call}`, { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${call}: ${await response.text()}`);
  return response.json();
}

/**
 * Lets the next requests to the push service fail: {times, status, retry_after,
 * hang}, without end where times is below 0, and no more where it is 0.
 */
export const failPush = (fault) => control('fail', fault);

/** The push of one phone. Everything but the subscription is the browser's own. */
export class Push {
  /**
   * Lets a phone subscribe: its browser grants notifications when it is asked,
   * and pushManager.subscribe answers a subscription of the push service.
   * @param {import('./phone.mjs').Phone} phone
   */
  static async given(phone) {
    const push = new Push(phone);
    await phone.browser.context.grantPermissions(['notifications'], { origin: url });
    await phone.page.exposeFunction('e2eSubscribe', (key) => push.#subscribe(key));
    await phone.page.addInitScript(stub);
    return push;
  }

  constructor(phone) {
    this.phone = phone;
    this.page = phone.page;
  }

  /** @type {object | undefined} as PushSubscription.toJSON gives it */
  subscription;

  /** Turns notifications on, as the page offers it. */
  async turnOn() {
    await this.phone.open('/notifications');
    await this.phone.button('Turn on notifications').click();
    await this.page.getByText('Notifications are on.').waitFor();
  }

  /** The same subscription each time, as browsers do. */
  async #subscribe(key) {
    this.subscription ??= await control('subscribe', { key });
    return this.subscription;
  }

  get endpoint() {
    assert.ok(this.subscription, 'the page has subscribed');
    return this.subscription.endpoint;
  }

  /** Ends the subscription: the push service answers 410 from now on. */
  end() {
    return control('unsubscribe', { endpoint: this.endpoint });
  }

  /**
   * Waits for the next message.
   * @returns {Promise<{text: string, ttl: number, urgency: string, topic: string, size: number}>} text is decrypted
   */
  take() {
    return control('take', { endpoint: this.endpoint });
  }

  /** How many messages wait. */
  pending() {
    return control('pending', { endpoint: this.endpoint });
  }

  /** Waits for the next message and hands it to the service worker. */
  async deliver() {
    const message = await this.take();
    await this.push(message.text);
    return message;
  }

  /** Hands a text to the service worker as a push message, and waits until it has shown something. */
  async push(text) {
    const [worker, registrationId] = await Promise.all([this.worker(), this.#registration()]);
    const before = await worker.evaluate(countShown);
    await this.phone.browser.cdp.send('ServiceWorker.deliverPushMessage', { origin: url, registrationId, data: text });
    await worker.evaluate(async (before) => {
      while (self.e2eShown === before) await new Promise((resolve) => setTimeout(resolve, 10));
    }, before);
  }

  /** The id by which the browser's tools know nod's service worker. */
  async #registration() {
    const { cdp } = this.phone.browser;
    this.registrationId ??= await new Promise((resolve, reject) => {
      cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
        const found = registrations.find(({ scopeURL, isDeleted }) => scopeURL === `${url}/` && !isDeleted);
        if (found) resolve(found.registrationId);
      });
      cdp.send('ServiceWorker.enable').catch(reject);
    });
    return this.registrationId;
  }

  /** The notifications on the phone: {title, body, tag, path, silent}. */
  notifications() {
    return this.page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      return (await registration.getNotifications()).map(({ title, body, tag, silent, data }) => ({ title, body, tag, silent, path: data?.path }));
    });
  }

  /** The one notification on the phone. */
  async notification() {
    const [shown, ...others] = await this.notifications();
    assert.ok(shown, 'a notification');
    assert.deepEqual(others, [], 'more notifications');
    return shown;
  }

  /** The service worker, for what only it can be told. */
  async worker() {
    const { context } = this.phone.browser;
    return context.serviceWorkers().find((worker) => worker.url().startsWith(url)) ?? context.waitForEvent('serviceworker');
  }

  /** Taps the notification that is shown. */
  async tap() {
    const worker = await this.worker();
    await worker.evaluate(async () => {
      const [notification] = await self.registration.getNotifications();
      self.dispatchEvent(new NotificationEvent('notificationclick', { notification }));
    });
  }
}

/**
 * Runs in the worker: counts what was shown. To ask for the notifications while
 * one is being shown would make the browser lose it.
 */
function countShown() {
  if (self.e2eShown === undefined) {
    self.e2eShown = 0;
    const show = self.registration.showNotification;
    self.registration.showNotification = async function showNotification(...given) {
      await show.apply(this, given);
      self.e2eShown++;
    };
  }
  return self.e2eShown;
}

/** Runs in the page before its own scripts. */
function stub() {
  const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  PushManager.prototype.subscribe = async function subscribe({ userVisibleOnly, applicationServerKey }) {
    if (!userVisibleOnly) throw new DOMException('not user visible', 'NotAllowedError');
    const json = await globalThis.e2eSubscribe(encode(applicationServerKey));
    return { endpoint: json.endpoint, options: { userVisibleOnly, applicationServerKey }, toJSON: () => json, unsubscribe: async () => true };
  };
}
