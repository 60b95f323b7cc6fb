import type Docker from 'dockerode';

interface ApiTask {
  ID: string;
  Status: { PortStatus?: { Ports?: { Protocol: string; TargetPort: number; PublishedPort: number }[] } };
}

/**
 * The ports on which each task of a service is published on its own node (PortStatus), as `protocol published->target`, by task id.
 * Each once: engines list a port for every address family it is bound in.
 */
export async function viewTaskPorts(manager: Docker, service: string): Promise<Record<string, string[]>> {
  const tasks = (await manager.listTasks({
    filters: { service: [service], 'desired-state': ['running'] },
  })) as ApiTask[];
  return Object.fromEntries(
    tasks.map(({ ID, Status }) => {
      const ports = (Status.PortStatus?.Ports ?? []).map(
        ({ Protocol, PublishedPort, TargetPort }) => `${Protocol} ${PublishedPort}->${TargetPort}`,
      );
      return [ID, [...new Set(ports)]];
    }),
  );
}
