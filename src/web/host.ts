import { isIPv6 } from 'node:net'

/** Used in commands when the request does not say by which name this registry is reached. */
export const unknownHost = 'registry.example'

// As a client of registries reads it: letters, digits and hyphens between dots, or an IPv6 address in brackets.
const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const pattern = new RegExp(
  `^(?:(?<name>${label}(?:\\.${label})*)|\\[(?<ip>[0-9a-f:.]+)\\])(?<port>:\\d{1,5})?$`,
)

/**
 * The registry's part of an image name, from a request's Host header. That is a stranger's, and would end up in a
 * command that someone copies into a shell: whatever is not exactly host or host:port is not used.
 */
export function registryHost(header: string | undefined): string {
  const host = header?.toLowerCase() ?? ''
  const { name, ip, port } = pattern.exec(host)?.groups ?? {}
  if (host.length > 253 || (name === undefined && (ip === undefined || !isIPv6(ip)))) return unknownHost
  if (port !== undefined && !isPort(Number(port.slice(1)))) return unknownHost
  // A first part without a dot or a port is no host to Docker, but a folder of Docker Hub.
  const isHost = port !== undefined || ip !== undefined || name === 'localhost' || name?.includes('.')
  return isHost ? host : `${host}:80`
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535

/** Whether a registry is on this computer, where clients use plain HTTP, by default or with an option. */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host)
