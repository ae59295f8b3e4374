import { whoText } from './access/who.ts'
import { quotaOfSettings } from './accounting.ts'
import type { Config } from './config.ts'
import { newKey, shownKey } from './credentials/new-key.ts'
import type { Overview } from './fleet/overview.ts'
import type { PreviewOptions } from './gc-preview.ts'
import type { RequestQuotas } from './http/quotas.ts'
import { diskPlaces } from './monitor.ts'
import type { QuotaRule } from './quotas/quota-rules.ts'
import type { State } from './state.ts'
import { readCatalogSize, readDisks } from './telemetry/disk-stats.ts'
import { createPreview } from './upkeep/preview.ts'
import type { AdminSource } from './web/admin/source.ts'

export type AdminDeps = {
  readonly state: Pick<State, 'catalog'>
  readonly quotas: RequestQuotas | undefined
  /** The current quotas of the policy. */
  readonly rules: () => readonly QuotaRule[]
  /** The processes that share a database; undefined without one. */
  readonly overview?: (() => Promise<Overview>) | undefined
  readonly stopping: AbortSignal
  /** The environment with the settings, for the process that previews a garbage collection. */
  readonly environment: PreviewOptions['environment']
  /** Receives the reason when a preview fails. */
  readonly warn: (failure: unknown) => void
}

// The limits on a preview, in milliseconds and bytes; and the number of images that the page lists.
const [previewTimeout, previewMemory, listedImages] = [30 * 60_000, 1e9, 50]

/** Loaded when needed, so that a front end needs no program before. */
const runPreview = async (options: PreviewOptions) =>
  (await import('./gc-preview.ts')).previewCleanup(options)

/** The data and actions of the admin page, as of `nixery gc --dry-run`, `nixery key` and `nixery status`. */
export function openAdmin(config: Config, deps: AdminDeps): AdminSource {
  const { quotas, rules, overview, stopping, environment, warn } = deps
  const { apiKeys } = deps.state.catalog
  const seconds = () => Math.floor(Date.now() / 1000)
  const places = diskPlaces(config)
  const { NIXERY_KEEP: keepDays, NIXERY_STORE_LIMIT: sizeLimit, NIXERY_GC_INTERVAL: interval } = config
  const preview = createPreview(() =>
    runPreview({
      environment,
      listed: listedImages,
      memory: previewMemory,
      timeout: previewTimeout,
      signal: stopping,
    }).catch((error: unknown) => {
      if (!stopping.aborted) warn(error)
      throw error
    }),
  )
  return {
    cleanup: { keepDays, sizeLimit, interval },
    preview,
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
        const created = newKey(request, seconds())
        if ('problem' in created) return created
        await apiKeys.add(created.stored)
        return { key: created.key, made: shownKey(created.stored, seconds()) }
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
