// The service worker: it shows notifications, leads to what they are about, and
// says so when nod cannot be reached. It decides nothing, offers no answer to a
// request, and keeps nothing but the page for being without a connection.
//
// nod puts one line in front of this file, and with it the version of all that
// is kept: const shell = {version, offline, files, icon, badge};

const cacheName = `nod-${shell.version}`;

// What a notification says. None of it comes out of a message: whoever could
// send one could otherwise write to the lock screen of this phone.
const sentences = {
  prompt: 'A request waits for your answer. Open to see it.',
  expired: 'This request has run out.',
  test: 'This is a test. This phone can be reached.',
  code_authorized: 'A device may be let in with a code made for you. Open to see.',
  passkey_suspended: 'A passkey of yours was stopped. Open to see why.',
  passkey_added: 'A passkey was added to your account. Open to see.',
  recovery_codes_made: 'New recovery codes were made for you. Open to see.',
  recovery_code_used: 'A recovery code was used and you were signed out everywhere. Open to see.',
  other: 'Something happened. Open to see what.',
};

/** What is told without being asked: each leads to the activity page. */
const notices = new Set(['code_authorized', 'passkey_suspended', 'passkey_added', 'recovery_codes_made', 'recovery_code_used']);

/** Where notifications lead, and nowhere else. */
const paths = /^\/(?:a\/[A-Za-z0-9_-]{20,80}|activity|notifications)?$/;

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', answer);
self.addEventListener('push', (event) => event.waitUntil(tell(read(event.data))));
self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil(lead(event.notification.data?.path));
});
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(subscribeAgain(event)));

// Being without a connection.

async function install() {
  const cache = await caches.open(cacheName);
  await cache.addAll([shell.offline, ...shell.files].map((path) => new Request(path, { cache: 'reload' })));
  await self.skipWaiting();
}

async function activate() {
  const old = (await caches.keys()).filter((name) => name.startsWith('nod-') && name !== cacheName);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

/**
 * Answers what asks for a page, from the network, and for the files of the
 * offline page. Everything else goes its usual way. Forms have to: sent from
 * here, what another site submits would count as ours and have the session.
 * Pages are read by navigation preload for the same reason.
 *
 * @param {FetchEvent} event
 */
function answer(event) {
  const { request } = event;
  if (request.method !== 'GET') return;
  const { origin, pathname } = new URL(request.url);
  if (request.mode === 'navigate') {
    if (self.registration.navigationPreload) event.respondWith(pageOrOffline(event));
  } else if (origin === self.location.origin && shell.files.includes(pathname)) {
    event.respondWith(kept(request));
  }
}

/** @param {FetchEvent} event */
async function pageOrOffline(event) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    const cache = await caches.open(cacheName);
    return (await cache.match(shell.offline)) ?? Response.error();
  }
}

/** @param {Request} request for a file whose path changes with its content */
async function kept(request) {
  const cache = await caches.open(cacheName);
  return (await cache.match(request)) ?? fetch(request);
}

// Notifications.

/**
 * @param {PushMessageData | null} data
 * @returns {{type?: unknown, id?: unknown, notice?: unknown, expires_at?: unknown}}
 */
function read(data) {
  try {
    return Object(data?.json());
  } catch {
    return {};
  }
}

/**
 * Shows a message. Browsers demand a notification for every one of them, so
 * what nobody needs any more is shown too, quietly.
 *
 * @param {ReturnType<typeof read>} message
 */
async function tell(message) {
  const { sentence, path, tag, isPrompt } = describe(message);
  const until = Date.parse(String(message.expires_at));
  const over = until <= Date.now();
  await self.registration.showNotification('nod', {
    body: over && isPrompt ? sentences.expired : sentence,
    icon: shell.icon,
    badge: shell.badge,
    lang: 'en',
    tag, // a repeat replaces what it repeats
    renotify: !over,
    silent: over,
    requireInteraction: isPrompt && !over,
    data: { path, until: isPrompt && !over ? until : undefined },
  });
  await closeOld();
}

/** Takes away prompts whose requests have run out since. */
async function closeOld() {
  for (const notification of await self.registration.getNotifications()) {
    if (notification.data?.until <= Date.now()) notification.close();
  }
}

/** @param {ReturnType<typeof read>} message */
function describe({ type, id, notice }) {
  const path = `/a/${id}`;
  if (type === 'prompt' && typeof id === 'string' && paths.test(path)) {
    return { sentence: sentences.prompt, path, tag: `prompt/${id}`, isPrompt: true };
  }
  if (type === 'notice' && notices.has(notice)) {
    return { sentence: sentences[notice], path: '/activity', tag: `notice/${notice}`, isPrompt: false };
  }
  if (type === 'test') return { sentence: sentences.test, path: '/notifications', tag: 'test', isPrompt: false };
  // A newer nod, or somebody else: there is a page for either.
  return { sentence: sentences.other, path: type === 'prompt' ? '/' : '/activity', tag: 'other', isPrompt: false };
}

/**
 * Leads the person who tapped a notification to a page: in a window of nod that
 * is open, or in a new one.
 *
 * @param {unknown} path
 */
async function lead(path) {
  const target = typeof path === 'string' && paths.test(path) ? path : '/';
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  // A card that is open already keeps what was typed into it.
  const there = windows.find(({ url }) => target.startsWith('/a/') && new URL(url).pathname === target);
  if (there) return there.focus();
  const led = await navigate(windows.find(({ focused }) => focused) ?? windows[0], target);
  return led ? led.focus() : self.clients.openWindow(target);
}

/**
 * Not every window can be led: an older worker may be in charge of it.
 *
 * @param {WindowClient | undefined} window
 * @param {string} target
 * @returns {Promise<WindowClient | null | undefined>}
 */
async function navigate(window, target) {
  try {
    return await window?.navigate(target);
  } catch {
    return null;
  }
}

/**
 * The browser has replaced or ended its subscription. Should this fail, the next
 * page of nod that its owner opens does it.
 *
 * @param {{oldSubscription?: PushSubscription, newSubscription?: PushSubscription}} event
 */
async function subscribeAgain({ oldSubscription, newSubscription }) {
  const key = oldSubscription?.options.applicationServerKey;
  if (!newSubscription && !key) return;
  const subscription = newSubscription
    ?? await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await fetch('/phone/phones', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
    body: JSON.stringify({ kind: 'webpush', subscription }),
  });
}
