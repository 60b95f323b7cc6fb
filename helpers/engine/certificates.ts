import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import fs from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import * as x509 from '@peculiar/x509';

/** What a client needs to be let in by an engine or a toolbox of the lab: PEM texts. */
export interface ClientCertificates {
  ca: string;
  cert: string;
  key: string;
}

/** One lab's own certificate authority's work: a server and a client certificate. */
export interface Certificates extends ClientCertificates {
  serverCert: string;
  serverKey: string;
}

/** Long enough for any checkpoint; they protect one disposable lab on one machine. */
const YEARS = 10;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

x509.cryptoProvider.set(webcrypto as unknown as typeof globalThis.crypto);

/**
 * A fresh certificate authority with one server and one client certificate, as Docker's mutual TLS wants them
 * (https://docs.docker.com/engine/security/protect-access/). The authority's key is forgotten at once.
 *
 * @param addresses the IP addresses or host names under which clients reach the servers.
 */
export async function makeCertificates(addresses: readonly string[]): Promise<Certificates> {
  const notBefore = new Date(Date.now() - 24 * 3600 * 1000);
  const notAfter = new Date(notBefore.getFullYear() + YEARS, 0, 1);
  const authority = await keys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=swarmproof lab',
    notBefore,
    notAfter,
    keys: authority,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  const issue = async (name: string, serialNumber: string, extensions: x509.Extension[]) => {
    const own = await keys();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: `CN=${name}`,
      issuer: ca.subject,
      notBefore,
      notAfter,
      signingKey: authority.privateKey,
      publicKey: own.publicKey,
      signingAlgorithm: ALGORITHM,
      extensions: [new x509.BasicConstraintsExtension(false, undefined, true), ...extensions],
    });
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', own.privateKey);
    return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
  };
  const server = await issue('lab', '02', [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.SubjectAlternativeNameExtension([
      ...addresses.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
      { type: 'dns' as const, value: 'localhost' },
    ]),
  ]);
  const client = await issue('swarmproof', '03', [
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
  ]);
  return {
    ca: ca.toString('pem'),
    cert: client.cert,
    key: client.key,
    serverCert: server.cert,
    serverKey: server.key,
  };
}

/** Writes the client's part as Docker's tools expect it in `DOCKER_CERT_PATH`. */
export async function writeClientFolder(
  folder: string,
  { ca, cert, key }: ClientCertificates,
): Promise<void> {
  await fs.mkdir(folder, { recursive: true, mode: 0o700 });
  for (const [name, text] of Object.entries({ 'ca.pem': ca, 'cert.pem': cert, 'key.pem': key })) {
    await fs.writeFile(path.join(folder, name), text, { mode: 0o600 });
  }
}

async function keys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}
