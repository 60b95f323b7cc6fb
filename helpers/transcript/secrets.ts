/**
 * Secrets of a Swarm, found by their form and replaced by pseudonyms: the same secret gets the same one everywhere, so that what
 * is compared, or sent back, still fits. From a pseudonym nothing can be told about the secret.
 */

import { createHash } from 'node:crypto';

/** How each kind of secret looks, in plain text and in JSON, where line breaks are escaped. The first group, if any, stays. */
const FORMS: readonly RegExp[] = [
  // Join tokens and unlock keys (swarmkit ca/config.go, GenerateJoinToken; manager/encryption/encryption.go, HumanReadableKey).
  /(SWMTKN-1-)[0-9a-z]{10,}-[0-9a-z]{10,}/g,
  /(SWMKEY-1-)[\w+/=-]{20,}/g,
  // Private keys (RFC 7468), whatever their kind.
  /(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----)[\s\S]*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----/g,
  // Keys of security associations, as `ip xfrm state` prints them.
  /((?:aead|enc|auth|auth-trunc|comp) [\w()-]+ 0x)[0-9a-f]{8,}/g,
  // Credentials for registries (docs: X-Registry-Auth, config.json), and any field that calls itself a secret; in JSON, and in
  // JSON that is a string of JSON, where quotes have backslashes.
  /((\\*)"(?:auth|identitytoken|password|secret|SigningCAKey|UnlockKey)\2"\s*:\s*\2")(?:(?!\2")(?:\\.|[^"\\]))+/gi,
  /((?:X-Registry-(?:Auth|Config)|Authorization)"?\s*[:=]\s*"?(?:Basic |Bearer )?)[\w+/=.-]{16,}/gi,
];

/** A pseudonym: hexadecimal digits, which fit wherever one of the secrets stood, and begin as no key of chance does. */
const MARK = '5ec4e75ec4e7';
const PSEUDONYM = new RegExp(`^${MARK}[0-9a-f]{20}$`);

/** The text with every secret replaced. Done again, it changes nothing. */
export function withoutSecrets(text: string): string {
  return FORMS.reduce((rest, form) => rest.replaceAll(form, pseudonymous), text);
}

function pseudonymous(secret: string, kept: string): string {
  const rest = secret.slice(kept.length);
  const end = /-----END [A-Z0-9 ]*PRIVATE KEY-----$/.exec(rest)?.[0] ?? '';
  const body = rest.slice(0, rest.length - end.length);
  return PSEUDONYM.test(body) ? secret : `${kept}${pseudonymOf(body)}${end}`;
}

function pseudonymOf(secret: string): string {
  return MARK + createHash('sha256').update(secret).digest('hex').slice(0, 20);
}
