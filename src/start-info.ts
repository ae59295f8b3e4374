import { hostname } from 'node:os'
import type { Config } from './config.ts'
import { placeOfBlobs } from './stores.ts'

/**
 * What an operator wants to know of a server that has just started: its address, its folders, and a command to try it with.
 * A server that listens on all interfaces is reached by the loopback address, or with TLS by the name of this machine.
 */
export function startInfo(
  config: Config,
  { port, tls, isReady }: { readonly port: number; readonly tls: boolean; readonly isReady: boolean },
): { readonly url: string; readonly data: string; readonly blobs: string; readonly pull?: string } {
  const { NIXERY_HOST, NIXERY_DATA } = config
  const isAny = NIXERY_HOST === '0.0.0.0' || NIXERY_HOST === '::'
  const named = isAny ? (tls ? hostname() : '127.0.0.1') : NIXERY_HOST
  const address = `${named.includes(':') ? `[${named}]` : named}:${port}`
  return {
    url: `${tls ? 'https' : 'http'}://${address}/`,
    data: NIXERY_DATA,
    blobs: placeOfBlobs(config),
    // A worker serves no images, and without packages there are none.
    ...(config.NIXERY_ROLE !== 'worker' && isReady && { pull: `docker pull ${address}/shell/hello` }),
  }
}
