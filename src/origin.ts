import { accessSync, constants, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { CacheOrigin } from './builds/from-caches.ts'
import type { Config } from './config.ts'
import type { CacheFiles } from './contents/cache/file-cache.ts'
import { openCaches } from './contents/cache/open.ts'
import type { Nix } from './nix/nix.ts'
import type { SharedCache } from './sharing/shared-cache.ts'

/**
 * The binary caches from which images are made, by the settings and Nix's configuration, the shared one before all others;
 * undefined if everything comes from the store.
 * @throws NIX_UNAVAILABLE
 */
export async function openOrigin(
  config: Config,
  {
    nix,
    catalog,
    shared,
  }: {
    readonly nix: Pick<Nix, 'caches'>
    readonly catalog: CacheFiles
    readonly shared: SharedCache | undefined
  },
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
      tokens: config.NIXERY_CACHE_TOKENS,
      connections: config.NIXERY_CACHE_CONNECTIONS ?? connections,
      timeout: config.NIXERY_CACHE_TIMEOUT,
      spoolDirectory,
      spoolSize: config.NIXERY_CACHE_SPOOL,
    },
    catalog,
    warn,
    shared,
  )
  return { mode, timeLimit: config.NIXERY_BUILD_TIMEOUT, ...opened }
}

/**
 * A folder for use as the Nix store by users without access to one: images come from binary caches only. Package
 * sources are fetched into it, and package sets that need a store for evaluation are evaluated with it.
 * @returns undefined if Nix must use its configured store
 */
export function evaluationStore(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
  note: (line: string) => void,
): string | undefined {
  if (config.NIXERY_ORIGIN !== 'caches') return undefined
  const { NIX_REMOTE = '', NIX_CONFIG = '' } = environment
  if (NIX_REMOTE !== '' || /^\s*store\s*=/m.test(NIX_CONFIG)) return undefined
  if (existsSync('/nix/var/nix/daemon-socket/socket') || canMake('/nix/var/nix')) return undefined
  const folder = join(config.NIXERY_DATA, 'eval-store')
  note(`no Nix store can be used here: package sets are fetched into ${folder}`)
  return folder
}

/** Whether a folder can be written or created. */
function canMake(folder: string): boolean {
  const existing = existsSync(folder)
  if (!existing && folder !== '/') return canMake(dirname(folder))
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
