// What the Go tests hand to a script, and the operator's command line.
//
// The Go side starts a server for each script and passes
//   E2E_URL       its public URL, http://localhost:PORT
//   E2E_NOD       the path of the nod binary
//   E2E_DATA      the server's data directory
//   E2E_CHROMIUM  the path of the browser, for scripts that need one
//   E2E_ACME      the sample application's URL, for its scripts
//   E2E_CONTROL   where those scripts kill the server and start it again
//   E2E_PUSH      where scripts that are told by push control the push service
//   E2E_STANDARD  where openid-client's script has the phone and the server's clock
//   NOD_SCREENSHOTS  where screenshots go; none are taken without it

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The value of an environment variable that the Go side always sets. */
export function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this script through "go test ./web/e2e"`);
  return value;
}

/** The server's public URL, without a slash at its end. */
export const url = setting('E2E_URL');

/** Every scope of the contract that issue 2 serves. */
export const allScopes = [
  'auth.register', 'auth.login', 'auth.temporary',
  'codes.generate', 'codes.authorize', 'codes.invalidate',
  'credentials.add', 'credentials.force_add', 'credentials.list', 'credentials.rename', 'credentials.revoke',
  'users.create', 'users.retrieve', 'users.delete', 'users.activate', 'users.deactivate',
];

/** Runs `nod …args --output json` on the server's data and returns what it printed. */
export async function cli(...args) {
  const { stdout } = await run(setting('E2E_NOD'), [...args, '--data', setting('E2E_DATA'), '--output', 'json'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NOD_PUBLIC_URL: url },
  });
  return JSON.parse(stdout);
}

/**
 * Registers a client.
 * @param {{name?: string, type?: string, scopes?: string[], flags?: string[]}} options
 * @returns {Promise<{client_id: string, private_key: string, namespace_id: string, type: string, scopes: string[]}>}
 */
export function createClient({ name = 'Acme TV', type = 'management', scopes = allScopes, flags = [] } = {}) {
  const scopeFlags = scopes.length > 0 ? ['--scope', scopes.join(',')] : [];
  return cli('client', 'create', '--name', name, '--type', type, ...scopeFlags, ...flags);
}

/** Creates a user: {id, username, namespace_id}. */
export const createUser = (username, flags = []) => cli('user', 'create', '--username', username, ...flags);

/** Makes an invitation link with which that user's phone enrols. */
export const invite = async (username) => (await cli('user', 'invite', '--username', username)).url;

/** A username nobody has yet. */
export const newName = (stem) => `${stem}-${randomBytes(4).toString('hex')}`;

/** Ends the server as a crash does: kill -9. */
export const killServer = () => control('kill');

/** Starts the server again, on the same data and port. */
export const startServer = () => control('start');

async function control(what) {
  const response = await fetch(`${setting('E2E_CONTROL')}/${what}`, { method: 'POST' });
  if (!response.ok) throw new Error(`${what} the server: ${await response.text()}`);
}
