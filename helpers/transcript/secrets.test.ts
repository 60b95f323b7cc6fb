import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { withoutSecrets } from './secrets.ts';
import { exchange, record } from './transcript.ts';

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
const base36 = (length: number) =>
  fc.string({
    unit: fc.constantFrom(...'0123456789abcdefghijklmnopqrstuvwxyz'),
    minLength: length,
    maxLength: length,
  });
const base64 = (length: number) =>
  fc.string({
    unit: fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'),
    minLength: length,
    maxLength: length,
  });

/** Every kind of secret, as it stands in what a lab says: the text, and the part of it that no one may read. */
const KINDS: Record<string, fc.Arbitrary<{ text: string; secret: string }>> = {
  'join token': fc.tuple(base36(50), base36(25)).map(([digest, secret]) => ({
    text: `docker swarm join --token SWMTKN-1-${digest}-${secret} 192.168.83.11:2377`,
    secret,
  })),
  'unlock key': base64(43).map((secret) => ({ text: `{"UnlockKey":"SWMKEY-1-${secret}"}`, secret })),
  'private key': fc
    .tuple(base64(64), fc.constantFrom('', 'RSA ', 'EC ', 'ENCRYPTED '))
    .map(([secret, kind]) => ({
      text: `-----BEGIN ${kind}PRIVATE KEY-----\n${secret}\n-----END ${kind}PRIVATE KEY-----\n`,
      secret,
    })),
  'key of an association': hex(40).map((secret) => ({
    text: `\taead rfc4106(gcm(aes)) 0x${secret} 64\n\tanti-replay context: seq 0x0\n`,
    secret,
  })),
  'key of authentication': hex(64).map((secret) => ({
    text: `\tauth-trunc hmac(sha256) 0x${secret} 96\n`,
    secret,
  })),
  'registry credentials': base64(40).map((secret) => ({
    text: `{"auths":{"r":{"auth":"${secret}"}}}`,
    secret,
  })),
  password: base64(12).map((secret) => ({ text: `{"Password": "${secret}"}`, secret })),
};

for (const [kind, planted] of Object.entries(KINDS)) {
  test(`a ${kind} goes: in text, in JSON, and in JSON within JSON`, () => {
    fc.assert(
      fc.property(planted, ({ text, secret }) => {
        for (const written of [
          text,
          JSON.stringify(text),
          JSON.stringify({ body: JSON.stringify({ text }) }),
        ]) {
          const clean = withoutSecrets(written);
          assert.ok(!clean.includes(secret), clean);
          if (written !== text) JSON.parse(clean);
          assert.equal(withoutSecrets(clean), clean, 'done twice it is the same');
        }
        assert.equal(withoutSecrets(text), withoutSecrets(text), 'the same secret has the same pseudonym');
      }),
    );
  });

  test(`a ${kind} is in no transcript, neither in a question nor in an answer nor in an error`, async () => {
    const [{ text, secret } = { text: '', secret: '' }] = fc.sample(planted, 1);
    const recording = record();
    await exchange('api m1', `POST /swarm/join\n${JSON.stringify({ text })}`, async () => ({ text }));
    const refused = exchange('api m1', 'GET /swarm', () => Promise.reject(new Error(text)));
    await assert.rejects(refused);
    assert.ok(!JSON.stringify(recording.end()).includes(secret));
  });
}

test('what is no secret stays: certificates, digests, commands', () => {
  for (const text of [
    '-----BEGIN CERTIFICATE-----\nMIIBajCCARCgAwIBAgIU\n-----END CERTIFICATE-----',
    'sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1',
    'proto esp spi 0x9cf0a1b2(2633015730) reqid 13681891(0xd0c4e3) mode transport',
    '{"authorities":[],"author":"x","Labels":{"secret":7}}',
  ])
    assert.equal(withoutSecrets(text), text);
});

test('different secrets keep different pseudonyms', () => {
  fc.assert(
    fc.property(hex(40), hex(40), (one, other) => {
      const clean = (key: string) => withoutSecrets(`aead rfc4106(gcm(aes)) 0x${key} 64`);
      assert.equal(clean(one) === clean(other), one === other);
    }),
  );
});
