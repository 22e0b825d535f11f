// The vendor's server SDK, unmodified, in the two versions that are installed
// side by side under aliases.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The versions under test. Only the older one can wait. */
export const versions = ['0.7.4', '0.8.3'];

/** Loads one version: {version, LoginId, LoginIdManagement}. */
export function load(version) {
  const name = `node-sdk-${version}`;
  const found = require(`${name}/package.json`);
  if (found.name !== '@loginid/node-sdk' || found.version !== version) {
    throw new Error(`${name} is ${found.name} ${found.version}: run npm ci`);
  }
  return { version, ...require(name) };
}

/** The same JWT with another payload under the old signature. */
export function withClaims(jwt, change) {
  const [header, payload, signature] = jwt.split('.');
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')), ...change };
  return [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
}

/**
 * The same JWT with another signature. It is the first character that changes:
 * the last one has bits that no decoder looks at.
 */
export function withBadSignature(jwt) {
  const [header, payload, signature] = jwt.split('.');
  return [header, payload, (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1)].join('.');
}
