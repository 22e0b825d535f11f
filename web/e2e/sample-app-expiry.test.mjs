// The sample application while nobody comes, at a server whose codes live for a
// few seconds.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { launch } from './lib/browser.mjs';
import { invite } from './lib/nod.mjs';
import { Phone } from './lib/phone.mjs';
import { Television } from './lib/television.mjs';

/** What the browser itself says of a wait that was answered with an error: its code has run out. */
const logged = /Failed to load resource/;

let chrome;

before(async () => {
  chrome = await launch();
});
after(() => chrome?.close());

/** An enrolled phone and a television that waits. */
async function household() {
  const phone = await Phone.open(chrome);
  await phone.enrol(await invite('ada'));
  return { phone, television: await Television.waiting(chrome) };
}

// Both spend most of their time waiting for codes to run out.
describe('a code that runs out', { concurrency: true }, () => {
  it('is replaced twice, and then the screen falls silent until somebody comes', async () => {
    const { phone, television } = await household();
    const codes = [await television.code()];
    while (codes.length < 3) codes.push(await television.codeAfter(codes.at(-1)));
    assert.equal(new Set(codes).size, 3, `codes ${codes}`);
    await television.shows('Still there? The last code has run out.');
    await television.offersAnother();
    await television.inspect('acme-paused', { expected: logged });
    await television.showAnother();
    await television.shows('Waiting for your phone…');
    assert.ok(!codes.includes(await television.code()));
    await phone.review(await television.approvalURL());
    await phone.approve();
    await television.signedIn('ada');
    phone.assertNoProblems();
    television.assertNoProblems(logged);
  });

  it('is over on a phone that looked too long, and the next one works', async () => {
    const { phone, television } = await household();
    const code = await television.code();
    await phone.review(await television.approvalURL());
    await phone.page.getByText('This request has run out.').waitFor();
    assert.equal(await phone.button('Approve with passkey').count(), 0);
    await phone.inspect('review-ran-out');
    await television.codeAfter(code);
    await phone.review(await television.approvalURL());
    await phone.approve();
    await television.signedIn('ada');
    phone.assertNoProblems();
    television.assertNoProblems(logged);
  });
});
