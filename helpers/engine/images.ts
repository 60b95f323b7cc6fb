import type Docker from 'dockerode';

/** How containers of an image start; Dockerfile instructions, as Docker's import takes them. */
export const IMAGE_CONFIG = {
  node: { Cmd: ['/usr/sbin/node-init'], Volumes: { '/var/lib/docker': {} } },
  toolbox: { Cmd: ['/usr/sbin/toolbox-init'] },
  workload: { Cmd: ['/usr/bin/workload', 'serve'], ExposedPorts: { '80/tcp': {} } },
} as const;

/** What the image is called in every engine of the lab. */
export function imageName(name: keyof typeof IMAGE_CONFIG): string {
  return `swarmproof/${name}:lab`;
}

/** Whether an engine has the lab's image of this name. */
export async function hasImage(docker: Docker, name: keyof typeof IMAGE_CONFIG): Promise<boolean> {
  return docker
    .getImage(imageName(name))
    .inspect()
    .then(
      () => true,
      (error: { statusCode?: number }) => {
        if (error.statusCode === 404) return false;
        throw error;
      },
    );
}

/** Label of an imported image that says from which recipe it is. */
export const HASH_LABEL = 'swarmproof.hash';

/** Imports a root file system into an engine through its API, under the lab's name for it. */
export async function importImage(
  docker: Docker,
  tar: string,
  name: keyof typeof IMAGE_CONFIG,
  labels: Record<string, string> = {},
): Promise<void> {
  const [repo = '', tag = ''] = imageName(name).split(':');
  const config: { Cmd: readonly string[]; Volumes?: object; ExposedPorts?: object } = IMAGE_CONFIG[name];
  const changes = [
    `CMD ${JSON.stringify(config.Cmd)}`,
    ...Object.keys(config.Volumes ?? {}).map((volume) => `VOLUME ${volume}`),
    ...Object.entries(labels).map(([label, value]) => `LABEL ${label}=${value}`),
    ...Object.keys(config.ExposedPorts ?? {}).map((port) => `EXPOSE ${port}`),
  ].join('\n');
  const stream = await docker.importImage(tar, { repo, tag, changes });
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error: Error | null) => (error ? reject(error) : resolve()));
  });
}
