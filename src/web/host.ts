import { isIPv6 } from 'node:net'

/** Used in commands when the request does not contain the registry's host name. */
export const unknownHost = 'registry.example'

// As registry clients parse it: letters, digits and hyphens between dots, or an IPv6 address in brackets.
const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const pattern = new RegExp(
  `^(?:(?<name>${label}(?:\\.${label})*)|\\[(?<ip>[0-9a-f:.]+)\\])(?<port>:\\d{1,5})?$`,
)

/**
 * Returns the registry part of an image name, from a request's Host header. The header is not trusted, because it
 * becomes part of a command that someone copies into a shell: only `host` and `host:port` are accepted.
 */
export function registryHost(header: string | undefined): string {
  const host = header?.toLowerCase() ?? ''
  const { name, ip, port } = pattern.exec(host)?.groups ?? {}
  if (host.length > 253 || (name === undefined && (ip === undefined || !isIPv6(ip)))) return unknownHost
  if (port !== undefined && !isPort(Number(port.slice(1)))) return unknownHost
  // Docker takes a first part without a dot or a port for a namespace of Docker Hub.
  const isHost = port !== undefined || ip !== undefined || name === 'localhost' || name?.includes('.')
  return isHost ? host : `${host}:80`
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535

/** Whether a registry is on this computer, where clients use plain HTTP by default or with an option. */
export const isLoopback = (host: string): boolean =>
  /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host)
