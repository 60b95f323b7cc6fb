import type Docker from 'dockerode';
import { IMAGE_CONFIG, imageName } from '../lab/images.ts';

/** Imports a root file system into an engine through its API, under the lab's name for it. */
export async function importImage(docker: Docker, tar: string, name: keyof typeof IMAGE_CONFIG): Promise<void> {
  const [repo = '', tag = ''] = imageName(name).split(':');
  const config: { Cmd: readonly string[]; Volumes?: object; ExposedPorts?: object } = IMAGE_CONFIG[name];
  const changes = [
    `CMD ${JSON.stringify(config.Cmd)}`,
    ...Object.keys(config.Volumes ?? {}).map((volume) => `VOLUME ${volume}`),
    ...Object.keys(config.ExposedPorts ?? {}).map((port) => `EXPOSE ${port}`),
  ].join('\n');
  const stream = await docker.importImage(tar, { repo, tag, changes });
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error: Error | null) => (error ? reject(error) : resolve()));
  });
}
