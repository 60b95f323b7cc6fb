import type Docker from 'dockerode';
import { messageOf } from '../errors.ts';
import type { ApiAnswer } from '../judge/refusals.ts';

/**
 * How an engine answered a request: that it accepted it, or the status and reason of its refusal.
 *
 * @throws whatever the request failed with when no engine answered at all.
 */
export async function answerTo(request: Promise<unknown>): Promise<ApiAnswer> {
  try {
    await request;
    return { accepted: true };
  } catch (error) {
    const { statusCode, json } = Object(error) as { statusCode?: unknown; json?: { message?: unknown } };
    if (typeof statusCode !== 'number') throw error;
    const reason = typeof json?.message === 'string' ? json.message : messageOf(error);
    return { accepted: false, status: statusCode, reason };
  }
}

interface ApiService {
  ID: string;
  Version: { Index: number };
  Spec: { Name: string };
  Endpoint?: {
    VirtualIPs?: { NetworkID: string; Addr?: string }[];
    Ports?: { Protocol: string; PublishedPort: number; TargetPort: number; PublishMode: string }[];
  };
}

/**
 * Everything a manager has of networks, services and running tasks, one line each: what a refused request must leave as it
 * is. A service's line has its version, which the manager raises whenever it writes to the service, its virtual IPs and
 * its ports.
 */
export async function inventory(manager: Docker): Promise<string[]> {
  const [networks, services, tasks] = await Promise.all([
    manager.listNetworks(),
    manager.listServices() as Promise<unknown> as Promise<ApiService[]>,
    manager.listTasks({ filters: { 'desired-state': ['running'] } }) as Promise<
      { ID: string; ServiceID: string }[]
    >,
  ]);
  return [
    ...networks.map(({ Id, Name, Driver, Scope }) => `network ${Name} ${Id} ${Driver} ${Scope}`),
    ...services.map(({ ID, Version, Spec, Endpoint }) => {
      const vips = (Endpoint?.VirtualIPs ?? []).map(({ NetworkID, Addr }) => `${NetworkID} ${Addr}`);
      const ports = (Endpoint?.Ports ?? []).map(
        ({ Protocol, PublishedPort, TargetPort, PublishMode }) =>
          `${Protocol} ${PublishedPort} ${TargetPort} ${PublishMode}`,
      );
      return [`service ${Spec.Name} ${ID} version ${Version.Index}`, ...vips, ...ports].join(', ');
    }),
    ...tasks.map(({ ID, ServiceID }) => `task ${ID} of ${ServiceID}`),
  ].toSorted();
}
