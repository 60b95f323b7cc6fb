import type Docker from 'dockerode';

/** The parts of an image's configuration that decide how its containers start, as the OCI image specification names them. */
export interface ImageConfig {
  Cmd?: readonly string[];
  Volumes?: Readonly<Record<string, object>>;
  ExposedPorts?: Readonly<Record<string, object>>;
}

/** How containers of the lab's images start. A node is told when it is started, whatever image it is of. */
export const IMAGE_CONFIG = {
  node: { Volumes: { '/var/lib/docker': {} } },
  toolbox: { Cmd: ['/usr/sbin/toolbox-init'] },
  workload: { Cmd: ['/usr/bin/workload', 'serve'], ExposedPorts: { '80/tcp': {} } },
} as const satisfies Record<string, ImageConfig>;

/** Images that containers of the lab are made of. */
export type ImageName = keyof typeof IMAGE_CONFIG;

/**
 * What an image is called in every engine of the lab.
 *
 * @param variant tells the node images of several engines apart; from 1 on.
 */
export function imageName(name: ImageName, variant = 1): string {
  return `swarmproof/${name}:lab${variant === 1 ? '' : `-${variant}`}`;
}

/** Whether an engine has the lab's image of this name. */
export async function hasImage(docker: Docker, name: ImageName): Promise<boolean> {
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
  name: ImageName,
  { variant = 1, labels = {} }: { variant?: number; labels?: Record<string, string> } = {},
): Promise<void> {
  const [repo = '', tag = ''] = imageName(name, variant).split(':');
  const config: ImageConfig = IMAGE_CONFIG[name];
  const changes = [
    ...(config.Cmd ? [`CMD ${JSON.stringify(config.Cmd)}`] : []),
    ...Object.keys(config.Volumes ?? {}).map((volume) => `VOLUME ${volume}`),
    ...Object.entries(labels).map(([label, value]) => `LABEL ${label}=${value}`),
    ...Object.keys(config.ExposedPorts ?? {}).map((port) => `EXPOSE ${port}`),
  ].join('\n');
  const stream = await docker.importImage(tar, { repo, tag, changes });
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error: Error | null) => (error ? reject(error) : resolve()));
  });
}
