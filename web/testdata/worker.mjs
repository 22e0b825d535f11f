// Runs the service worker's script in a context that is not a browser, and
// prints what it shows for each message and where each tap leads.
// Standard input: {"script": "…", "messages": ["…"], "paths": ["…"]}.

import { readFileSync } from 'node:fs';
import vm from 'node:vm';

const { script, messages, paths } = JSON.parse(readFileSync(0, 'utf8'));
const listeners = {};
const shown = [];
const opened = [];

vm.runInNewContext(script, {
  self: {
    addEventListener: (type, listener) => { listeners[type] = listener; },
    registration: {
      showNotification: async (title, options) => { shown.push({ title, ...options }); },
      getNotifications: async () => [],
    },
    clients: { matchAll: async () => [], openWindow: async (path) => { opened.push(path); } },
  },
});

async function dispatch(type, event) {
  let done;
  listeners[type]({ ...event, waitUntil: (work) => { done = work; } });
  await done;
}

for (const message of messages) await dispatch('push', { data: { json: () => JSON.parse(message) } });
await dispatch('push', { data: null });
for (const path of paths) await dispatch('notificationclick', { notification: { data: { path }, close() {} } });
console.log(JSON.stringify({ shown, opened }));
