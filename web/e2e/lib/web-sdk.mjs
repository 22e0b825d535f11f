// The vendor's browser SDK, unmodified, on a page that a test serves.

import assert from 'node:assert/strict';
import path from 'node:path';
import { build } from 'esbuild';
import { url } from './nod.mjs';

/** The SDK as one script, which a page runs as it is. */
export async function bundled() {
  const { outputFiles: [bundle] } = await build({
    stdin: {
      contents: `import SDK from '@loginid/sdk'; window.SDK = SDK.default ?? SDK;`,
      resolveDir: path.dirname(import.meta.dirname),
    },
    bundle: true, write: false, format: 'iife', platform: 'browser',
  });
  return bundle.text;
}

/**
 * Calls one method of the SDK in the browser's page, which keeps the SDK's object.
 * @returns {Promise<{value?: any, error?: {name: string, code?: string, message: string}}>}
 */
export function call(browser, client, method, ...args) {
  return browser.page.evaluate(async ([base, client, method, args]) => {
    window.sdk ??= new window.SDK(base, client);
    try {
      return { value: await window.sdk[method](...args) };
    } catch ({ name, code, message }) {
      return { error: { name, code, message } };
    }
  }, [url, client.client_id, method, args]);
}

/** Like call, and it must succeed. */
export async function works(browser, client, method, ...args) {
  const { value, error } = await call(browser, client, method, ...args);
  assert.equal(error, undefined, `${method}: got ${JSON.stringify(error)}`);
  return value;
}
