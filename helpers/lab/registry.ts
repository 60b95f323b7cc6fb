import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { messageOf, UsageError } from '../errors.ts';

/** An image's name, taken apart. */
export interface Reference {
  /** As it was written, for messages. */
  text: string;
  /** Where its registry's API is, for example https://registry-1.docker.io. */
  registry: string;
  /** Path in the registry, for example library/docker. */
  repository: string;
  /** A tag, or a digest such as sha256:... */
  version: string;
}

/** One image for this machine: what it is made of, and how it starts. */
export interface RemoteImage {
  /** Digest of its manifest. */
  digest: string;
  layers: { digest: string; mediaType: string }[];
  entrypoint: string[];
  env: string[];
}

/** Docker's own registry, which images without a registry in their name come from, or with docker.io (distribution/reference). */
const DOCKER_HUB = 'registry-1.docker.io';

/** The image guests run. */
const PLATFORM = { os: 'linux', architecture: 'amd64' };

const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

const descriptor = z.object({ digest: z.string(), mediaType: z.string() });
const indexSchema = z.object({
  manifests: z.array(
    descriptor.extend({ platform: z.object({ os: z.string(), architecture: z.string() }).optional() }),
  ),
});
const manifestSchema = z.object({ config: descriptor, layers: z.array(descriptor) });
const configSchema = z.object({
  config: z
    .object({ Entrypoint: z.array(z.string()).nullish(), Env: z.array(z.string()).nullish() })
    .optional(),
});

/** Ours: a registry that says nothing for so long is not reached. */
const ANSWER_MS = 30_000;

/**
 * Takes an image's name apart as Docker does (distribution/reference): a first part with a dot or colon, or `localhost`, is the
 * registry; a registry on this machine is spoken to without TLS.
 */
export function parseReference(text: string): Reference {
  const [, name = '', tag, digest] =
    /^([^@]+?)(?::(\w[\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text) ?? [];
  const [first = '', ...rest] = name.split('/');
  const named = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const docker = !named || /^(?:index\.)?docker\.io$/.test(first);
  const host = docker ? DOCKER_HUB : first;
  const path = named ? rest.join('/') : name;
  const repository = docker && !path.includes('/') ? `library/${path}` : path;
  if (!/^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/.test(repository) || !/^[a-z0-9[]/i.test(host))
    throw new UsageError(
      `ENGINE=image:${text} is no name of an image; one is localhost:5000/docker:28-dind.`,
    );
  const local = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host);
  return {
    text,
    registry: `${local ? 'http' : 'https'}://${host}`,
    repository,
    version: digest ?? tag ?? 'latest',
  };
}

/** A registry, as the distribution specification describes its API. */
export class Registry {
  readonly #reference: Reference;
  #token: string | undefined;

  constructor(reference: Reference) {
    this.#reference = reference;
  }

  /** Asks what the image is made of. @throws UsageError when the registry or the image is not there, or not for everyone. */
  async image(): Promise<RemoteImage> {
    const { version } = this.#reference;
    const top = await this.#json(`manifests/${version}`, version);
    const index = indexSchema.safeParse(top.content);
    const chosen = index.data?.manifests.find(
      ({ platform }) => platform?.os === PLATFORM.os && platform.architecture === PLATFORM.architecture,
    );
    if (index.success && !chosen)
      throw this.#refused(`has no image for ${PLATFORM.os}/${PLATFORM.architecture}`);
    const own = chosen ? await this.#json(`manifests/${chosen.digest}`, chosen.digest) : top;
    const manifest = this.#understood(manifestSchema, own.content);
    const { config } = this.#understood(
      configSchema,
      (await this.#json(`blobs/${manifest.config.digest}`, manifest.config.digest)).content,
    );
    return {
      digest: own.digest,
      layers: manifest.layers.map(({ digest, mediaType }) => ({ digest, mediaType })),
      entrypoint: config?.Entrypoint ?? [],
      env: config?.Env ?? [],
    };
  }

  /** Downloads a layer as it is, and verifies it. */
  async download(digest: string, file: string): Promise<void> {
    const response = await this.#get(`blobs/${digest}`);
    if (!response.body) throw this.#refused('sent an empty layer');
    const hash = createHash('sha256');
    const body = Readable.fromWeb(response.body as never);
    body.on('data', (chunk) => hash.update(chunk));
    await pipeline(body, createWriteStream(file)).catch((error) => {
      throw this.#refused(`stopped in the middle of a layer (${messageOf(error)})`);
    });
    this.#verify(`sha256:${hash.digest('hex')}`, digest);
  }

  async #json(path: string, wanted: string): Promise<{ digest: string; content: unknown }> {
    const response = await this.#get(path);
    const bytes = Buffer.from(await response.arrayBuffer());
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (wanted.startsWith('sha256:')) this.#verify(digest, wanted);
    try {
      return { digest, content: JSON.parse(bytes.toString()) };
    } catch {
      throw this.#refused('answered with something that is no JSON');
    }
  }

  /** One request, with a token for anonymous readers where the registry wants one; a long download may outlive it. */
  async #get(path: string): Promise<Response> {
    const { registry, repository } = this.#reference;
    const ask = () =>
      fetch(`${registry}/v2/${repository}/${path}`, {
        headers: {
          accept: MANIFEST_TYPES.join(', '),
          ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        },
        signal: AbortSignal.timeout(ANSWER_MS * (path.startsWith('blobs/') ? 20 : 1)),
      }).catch((error) => {
        throw this.#refused(`cannot be reached (${causeOf(error)})`);
      });
    let response = await ask();
    if (response.status === 401) {
      this.#token = await this.#anonymousToken(response.headers.get('www-authenticate') ?? '');
      if (this.#token) response = await ask();
    }
    if (response.status === 401 || response.status === 403)
      throw this.#refused(
        'wants a login, which swarmproof has none for: serve the image from a registry of your own',
      );
    if (response.status === 404) throw this.#refused('has no such image');
    if (!response.ok) throw this.#refused(`answered ${response.status} ${response.statusText}`);
    return response;
  }

  /** https://distribution.github.io/distribution/spec/auth/token/ */
  async #anonymousToken(challenge: string): Promise<string | undefined> {
    const fields = Object.fromEntries(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
    );
    if (!/^bearer /i.test(challenge) || !fields.realm) return undefined;
    const url = new URL(fields.realm);
    if (fields.service) url.searchParams.set('service', fields.service);
    url.searchParams.set('scope', fields.scope ?? `repository:${this.#reference.repository}:pull`);
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) }).catch((error) => {
      throw this.#refused(`hands out tokens where it cannot be reached (${causeOf(error)})`);
    });
    if (!response.ok) return undefined;
    const { token, access_token: other } = (await response.json()) as Record<string, string>;
    return token ?? other;
  }

  #understood<T>(schema: z.ZodType<T>, content: unknown): T {
    const read = schema.safeParse(content);
    if (!read.success)
      throw this.#refused(`describes it in a way not known (${z.prettifyError(read.error)})`);
    return read.data;
  }

  #verify(seen: string, wanted: string): void {
    if (seen !== wanted) throw this.#refused(`sent ${seen} for ${wanted}`);
  }

  #refused(what: string): UsageError {
    const { text, registry } = this.#reference;
    return new UsageError(`ENGINE=image:${text}: the registry ${registry} ${what}.`);
  }
}

/** Node says only "fetch failed"; the reason lies below. */
function causeOf(error: unknown): string {
  return messageOf(error instanceof Error && error.cause ? error.cause : error);
}
