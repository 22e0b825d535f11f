// A device that waits for a phone while nobody comes, at a server whose codes live for a
// few seconds.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { Laptop } from './lib/laptop.mjs';
import { Phone } from './lib/phone.mjs';

let chrome;

before(async () => { chrome = await launch(); });
after(() => chrome?.close());

describe('a code that runs out', { concurrency: true }, () => {
  it('is replaced when somebody asks for it, and not before', async () => {
    const phone = await Phone.enrolled(chrome);
    const laptop = await Laptop.waiting(chrome);
    const code = await laptop.code();
    await laptop.shows('This code has run out. Nothing was shared.');
    await laptop.offersAnother();
    await laptop.inspect('join-run-out');
    let calls = 0;
    laptop.page.on('request', () => { calls++; });
    await laptop.page.waitForTimeout(2_000); // four times as long as it pauses between two calls
    assert.equal(calls, 0, 'calls of a page that has fallen silent');

    await laptop.button('Show a new code').click();
    await laptop.shows('Waiting for your phone…');
    assert.notEqual(await laptop.code(), code);
    await phone.typeCode(await laptop.code());
    await phone.approve();
    await laptop.makePasskey();
    phone.assertNoProblems();
    laptop.assertNoProblems();
  });

  it('has run out without a connection, too', async () => {
    const laptop = await Laptop.waiting(chrome);
    await laptop.page.route('**/phone/join/wait', (route) => route.abort('internetdisconnected'));
    await laptop.shows('This code has run out. Nothing was shared.');
    await laptop.offersAnother();
    laptop.assertNoProblems(/Failed to load resource/);
  });
});
