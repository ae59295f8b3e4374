import { whoText } from './access/who.ts'
import { quotaOfSettings } from './accounting.ts'
import { deletionDelay } from './catalogs.ts'
import type { Config } from './config.ts'
import { newKey, shownKey } from './credentials/new-key.ts'
import type { Overview } from './fleet/overview.ts'
import type { RequestQuotas } from './http/quotas.ts'
import { diskPlaces } from './monitor.ts'
import type { QuotaRule } from './quotas/quota-rules.ts'
import type { State } from './state.ts'
import { readCatalogSize, readDisks } from './telemetry/disk-stats.ts'
import { collect } from './upkeep/gc.ts'
import { createLook } from './upkeep/look.ts'
import type { AdminSource } from './web/admin/source.ts'

export type AdminDeps = {
  readonly state: Pick<State, 'catalog' | 'store' | 'uses'>
  readonly quotas: RequestQuotas | undefined
  /** The current quotas of the policy. */
  readonly rules: () => readonly QuotaRule[]
  /** The processes that share a database; undefined without one. */
  readonly overview?: (() => Promise<Overview>) | undefined
  readonly stopping: AbortSignal
}

// The timeout for surveying a store that does not respond, in milliseconds.
const longestLook = 30 * 60_000

/** The data and actions of the admin page, as of `nixery gc --dry-run`, `nixery key` and `nixery status`. */
export function openAdmin(config: Config, deps: AdminDeps): AdminSource {
  const { quotas, rules, overview, stopping } = deps
  const { catalog, store, uses } = deps.state
  const { apiKeys } = catalog
  const seconds = () => Math.floor(Date.now() / 1000)
  const places = diskPlaces(config)
  const { NIXERY_KEEP: keepDays, NIXERY_STORE_LIMIT: sizeLimit, NIXERY_GC_INTERVAL: interval } = config
  const look = createLook(() =>
    collect(
      { catalog, store, uses },
      {
        keepDays,
        sizeLimit,
        delay: deletionDelay(config),
        dryRun: true,
        now: Date.now() / 1000,
        signal: AbortSignal.any([stopping, AbortSignal.timeout(longestLook)]),
      },
    ),
  )
  return {
    cleanup: { keepDays, sizeLimit, interval },
    look,
    async storage() {
      const [disks, bytes] = await Promise.all([
        readDisks(places),
        places.catalog === undefined
          ? overview?.().then((all) => all.bytes)
          : readCatalogSize(places.catalog),
      ])
      const kind = places.catalog === undefined ? 'PostgreSQL' : 'SQLite'
      return { backend: config.NIXERY_STORAGE_BACKEND, catalog: { kind, bytes: bytes ?? 0 }, disks }
    },
    quotas: {
      rules() {
        const ofAnonymous = quotaOfSettings(config)
        return [
          ...rules().map(({ who, quota }) => ({ who: who.map(whoText).join(', '), quota })),
          ...(ofAnonymous ? [{ who: 'anonymous', quota: ofAnonymous }] : []),
        ]
      },
      uses: async () => (await quotas?.uses()) ?? [],
    },
    keys: {
      list: async () => (await apiKeys.list()).map((key) => shownKey(key, seconds())),
      async create(request) {
        const made = newKey(request, seconds())
        if ('problem' in made) return made
        await apiKeys.add(made.stored)
        return { key: made.key, made: shownKey(made.stored, seconds()) }
      },
      async revoke(id) {
        const key = await apiKeys.find(id)
        if (!key) return undefined
        await apiKeys.revoke(id, seconds())
        return shownKey({ ...key, revokedAt: seconds() }, seconds())
      },
    },
    fleet: overview,
  }
}
