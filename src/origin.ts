import type { CacheOrigin } from './builds/from-caches.ts'
import type { Config } from './config.ts'
import { openCaches } from './contents/cache/open.ts'
import type { Nix } from './nix/nix.ts'

/**
 * The binary caches that images are made from, as the operator and Nix's configuration name them; undefined where
 * everything comes from the store.
 * @throws NIX_UNAVAILABLE
 */
export async function openOrigin(
  config: Config,
  nix: Pick<Nix, 'caches'>,
  spoolDirectory: string,
  warn: (line: string) => void,
): Promise<CacheOrigin | undefined> {
  const mode = config.NIXERY_ORIGIN
  if (mode === 'store') return undefined
  const { substituters, trustedKeys, connections, ...others } = await nix.caches()
  const opened = await openCaches(
    {
      ...others,
      substituters: config.NIXERY_SUBSTITUTERS ?? substituters,
      trustedKeys: [...trustedKeys, ...config.NIXERY_TRUSTED_KEYS],
      connections: config.NIXERY_CACHE_CONNECTIONS ?? connections,
      timeout: config.NIXERY_CACHE_TIMEOUT,
      spoolDirectory,
      spoolSize: config.NIXERY_CACHE_SPOOL,
    },
    warn,
  )
  return { mode, ...opened }
}
