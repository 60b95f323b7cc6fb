import type Docker from 'dockerode';

/** Where a running container has its network namespace, as its engine says; serialisable. */
export interface Sandbox {
  /** Container id. */
  container: string;
  name: string;
  /** Process id of its first process, as its node sees it. */
  pid: number;
  /** SandboxID: 64 digits. */
  id: string;
  /** SandboxKey: a path on the node. */
  key: string;
  /** Its address by the name of its network; docker_gwbridge is none that the engine tells of. */
  addresses: Record<string, string>;
}

/** File of the namespace that containers on the host's own network share: none of a sandbox (moby daemon/libnetwork/osl). */
export const HOST_SANDBOX = 'default';

/** Inspects every running container of an engine. */
export async function viewSandboxes(api: Docker): Promise<Sandbox[]> {
  const containers = await api.listContainers();
  return Promise.all(
    containers.map(async ({ Id }) => {
      const { Name, State, NetworkSettings } = await api.getContainer(Id).inspect();
      // The types lack the two fields; the API has had them since 1.21.
      const { SandboxID, SandboxKey } = NetworkSettings as unknown as {
        SandboxID: string;
        SandboxKey: string;
      };
      return {
        container: Id,
        name: Name.replace(/^\//, ''),
        pid: State.Pid,
        id: SandboxID,
        key: SandboxKey,
        addresses: Object.fromEntries(
          Object.entries(NetworkSettings.Networks).map(([network, { IPAddress }]) => [network, IPAddress]),
        ),
      };
    }),
  );
}

/** The last part of a path. */
export function fileOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
