import type { Config } from '../../config.ts'
import { parseStorePath } from '../../image/store-path.ts'
import { nixSettings } from '../../nix/settings.ts'
import { openOrigin } from '../../origin.ts'
import { problem, type Finding } from './finding.ts'
import { plainEnvironment } from './surroundings.ts'

/** Seconds without an answer. */
const patience = 5
/** No cache has it. */
const nothing = parseStorePath('/nix/store/00000000000000000000000000000000-nixery-doctor')

/** Whether the binary caches that images come from answer, with the credentials and settings of the server. */
export async function checkCaches(config: Config): Promise<Finding[]> {
  if (config.NIXERY_ROLE === 'front' || config.NIXERY_ORIGIN === 'store') return []
  const warnings: Finding[] = []
  const warn = (message: string) => void warnings.push({ about: 'caches', state: 'warning', message })
  const caches = async () => {
    const settings = nixSettings(
      () => plainEnvironment(config, 'realise'),
      () => {},
    )
    return (await settings()).caches
  }
  try {
    const origin = await openOrigin(
      { ...config, NIXERY_CACHE_TIMEOUT: Math.min(patience, config.NIXERY_CACHE_TIMEOUT) },
      {
        nix: { caches },
        catalog: { cacheFiles: async () => [], rememberCacheFiles: async () => {} },
        shared: undefined,
      },
      config.NIXERY_DATA,
      warn,
    )
    if (!origin) return []
    const answer = await origin.caches.lookUp(nothing, { avoid: new Set(), onTrouble: () => {} })
    await origin.close()
    const reasons = 'reasons' in answer ? answer.reasons : []
    return [...warnings, ...reasons.map((reason) => findingOf(reason, origin.mode))]
  } catch (error) {
    return [problem('caches', error)]
  }
}

/** @param reason the cache's reason for not having a path, or why it cannot be queried */
function findingOf(reason: string, mode: 'auto' | 'caches'): Finding {
  const missing = / does not have it$/
  if (missing.test(reason))
    return { about: 'caches', state: 'ok', message: reason.replace(missing, ' responds') }
  return {
    about: 'caches',
    // Other caches may have its paths; in `auto`, Nix uses them.
    state: mode === 'auto' ? 'warning' : 'problem',
    message: reason,
    fix: 'correct NIXERY_SUBSTITUTERS, or the credentials in netrc-file of nix.conf or NIXERY_CACHE_TOKENS',
  }
}
