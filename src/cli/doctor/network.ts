import { connect } from 'node:net'
import type { Config } from '../../config.ts'
import { systemErrorCode } from '../../errors.ts'
import type { Finding } from './finding.ts'

/** Milliseconds to wait for a connection. */
const patience = 5_000

const ports: Readonly<Record<string, number>> = {
  'http:': 80,
  'https:': 443,
  'ssh:': 22,
  'git:': 9418,
  'postgres:': 5432,
  'postgresql:': 5432,
}

export type Host = { readonly host: string; readonly port: number; readonly isHttp: boolean }

/** The host in a URL; undefined if there is none, as for a folder. */
export function hostOf(address: string): Host | undefined {
  // git's ssh syntax: user@host:path.
  const ssh = /^[\w.-]+@([\w.-]+):(?!\/\/)/.exec(address)?.[1]
  if (ssh !== undefined) return { host: ssh, port: 22, isHttp: false }
  const forge = /^(github|gitlab|sourcehut):/.exec(address)?.[1]
  const forges: Readonly<Record<string, string>> = {
    github: 'github.com',
    gitlab: 'gitlab.com',
    sourcehut: 'git.sr.ht',
  }
  if (forge !== undefined) return { host: forges[forge] ?? '', port: 443, isHttp: true }
  const url = URL.parse(address.replace(/^git\+/, ''))
  const port = url ? Number(url.port) || ports[url.protocol] : undefined
  if (!url || url.hostname === '' || port === undefined) return undefined
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, isHttp: url.protocol.startsWith('http') }
}

/** The URLs in this configuration, each with its setting. */
function addressesOf(config: Config): (readonly [setting: string, address: string])[] {
  const { NIXERY_CHANNEL, NIXERY_CHANNEL_URL, NIXERY_CHANNEL_COMMITS, NIXERY_CHANNEL_REPO } = config
  const sets = config.sets?.map(({ source }) => ['NIXERY_SETS', source.place] as const) ?? []
  const used: (readonly [string, string | undefined])[] = [
    ...(NIXERY_CHANNEL === undefined ? [] : [['NIXERY_CHANNEL_URL', NIXERY_CHANNEL_URL] as const]),
    ...(NIXERY_CHANNEL_COMMITS === 'on' ? [['NIXERY_CHANNEL_REPO', NIXERY_CHANNEL_REPO] as const] : []),
    ['NIXERY_PKGS_REPO', config.NIXERY_PKGS_REPO],
    ['NIXERY_FLAKE', config.NIXERY_FLAKE],
    ['NIX_POPULARITY_URL', config.NIX_POPULARITY_URL],
    ['S3_ENDPOINT', config.S3_ENDPOINT],
    ['GCS_ENDPOINT', config.GCS_ENDPOINT],
    ['NIXERY_DATABASE_URL', config.NIXERY_DATABASE_URL],
    ...sets,
  ]
  return used.flatMap(([setting, address]) => (address === undefined ? [] : [[setting, address] as const]))
}

/**
 * Checks whether the hosts in the settings are reachable.
 * @param proxied whether HTTP requests use a proxy, so that this machine need not reach their hosts
 */
export async function checkNetwork(config: Config, proxied: boolean): Promise<Finding[]> {
  const hosts = new Map<string, Host & { readonly setting: string }>()
  for (const [setting, address] of addressesOf(config)) {
    const host = hostOf(address)
    if (host) hosts.set(`${host.host}:${host.port}`, { ...host, setting })
  }
  return Promise.all(
    [...hosts].map(async ([name, { host, port, isHttp, setting }]): Promise<Finding> => {
      if (isHttp && proxied)
        return { about: 'network', state: 'ok', message: `${name} (${setting}): through a proxy` }
      const failure = await failureOf(host, port)
      if (failure === undefined)
        return { about: 'network', state: 'ok', message: `${name} (${setting}) can be reached` }
      const isUnknown = failure === 'ENOTFOUND' || failure === 'EAI_AGAIN'
      return {
        about: 'network',
        state: 'problem',
        message: `${name} (${setting}) cannot be reached: ${failure}`,
        fix: isUnknown
          ? `getent hosts ${host} must find an address: correct ${setting} or /etc/resolv.conf`
          : `allow outgoing connections to ${name}, or set https_proxy, or correct ${setting}`,
      }
    }),
  )
}

/** Connects once. Returns the code of the failed system call, or undefined on success. */
export function failureOf(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (failure?: string) => {
      socket.destroy()
      resolve(failure)
    }
    socket.once('connect', () => end())
    socket.once('error', (error) => end(systemErrorCode(error) ?? error.message))
    socket.setTimeout(patience, () => end('ETIMEDOUT'))
  })
}
