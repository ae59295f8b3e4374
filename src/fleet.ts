import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { Kysely } from 'kysely'
import type { Blobs } from './builds/blobs.ts'
import type { WorkerStatus } from './builds/builds.ts'
import type { BuildListener } from './builds/events.ts'
import type { LocalBuilds } from './builds/local-builds.ts'
import { createPulls, ignoredTags } from './builds/pull-counter.ts'
import { createRecent } from './builds/recent.ts'
import type { Catalog } from './catalog/catalog.ts'
import type { Config } from './config.ts'
import { namedSets } from './config/set-config.ts'
import { createAsk } from './fleet/ask.ts'
import { openEventLog } from './fleet/event-log.ts'
import { createJobTable, inDatabase } from './fleet/job-table.ts'
import { createLeases } from './fleet/leases.ts'
import { readOverview, type Overview } from './fleet/overview.ts'
import { persist } from './fleet/persist.ts'
import { openRenewals } from './fleet/renewals.ts'
import { joinFleet, type Membership, type MembershipDeps } from './fleet/membership.ts'
import { createPins } from './fleet/pins.ts'
import { createReplicas } from './fleet/replicas.ts'
import { createTables } from './fleet/schema.ts'
import { createSharedBuilds, type RequestTraces, type SharedBuilds } from './fleet/shared-builds.ts'
import { openFleetStatus } from './fleet/status.ts'
import { sweep } from './fleet/sweep.ts'
import { createWaiters } from './fleet/waiters.ts'
import { createFence, type HeldLeases } from './fleet/held-leases.ts'
import { startLoop, type WorkerLoop } from './fleet/worker-loop.ts'
import { createWorkers } from './fleet/workers.ts'
import { platforms } from './image/platform.ts'
import type { Listener } from './postgres/listener.ts'
import type { Postgres } from './postgres/pool.ts'
import type { Redactor } from './text/redact.ts'

/** Processes that share builds through a database, as seen by one of them. */
export type Fleet = {
  /** Builds by the workers of the fleet. */
  readonly builds: SharedBuilds
  /** The state of the workers, for a process that is none. */
  status(): WorkerStatus
  /** What goes on in all processes. @throws STORE_UNAVAILABLE */
  overview(): Promise<Overview>
  /** Called before the image of a build is recorded. @throws CANCELLED if another worker has taken over the build */
  readonly fence: (build: string) => Promise<void>
  /**
   * Joins the registry of processes.
   * @param facts the current facts that this process must have in common with others
   * @param onDifference called while it differs from any other process in these facts
   */
  join(
    facts: MembershipDeps['facts'],
    onDifference?: MembershipDeps['onDifference'],
  ): Promise<Pick<Membership, 'isDraining' | 'mayBuild'>>
  /** Takes jobs from now on. */
  work(worker: {
    readonly builds: LocalBuilds
    readonly status: WorkerStatus
    /** System features that Nix has here. */
    readonly features: readonly string[]
  }): WorkerLoop
  close(): Promise<void>
}

export type FleetDeps = {
  readonly postgres: Postgres
  /** Notifications of the same database. */
  readonly listener: Listener
  readonly catalog: Catalog
  readonly blobs: Blobs
  readonly uses: Parameters<typeof createPulls>[1]
  readonly version: string
  /** Receives the events of all builds of the fleet, including the last hours. */
  readonly onBuild?: BuildListener | undefined
  readonly redactor: Redactor
  readonly traces?: RequestTraces | undefined
  readonly onRemembered?: (() => void) | undefined
  readonly onFailure?: ((build: string, error: unknown) => void) | undefined
  readonly note: (line: string) => void
  readonly warn: (line: string) => void
}

// Milliseconds between checks of the other processes, and after which an unseen process counts as gone.
const [lookInterval, longestUnseen] = [5_000, 20_000]

// Milliseconds between two writes of the pull counts.
const pullInterval = 2_000

/** @throws SETUP_FAILED when the npm package of PostgreSQL is missing */
export async function openFleet(config: Config, deps: FleetDeps): Promise<Fleet> {
  const { postgres, listener, catalog, blobs, uses, warn } = deps
  const lease = config.NIXERY_LEASE * 1000
  const db = new Kysely<unknown>({ dialect: postgres.dialect })
  const renewals = await openRenewals(config.NIXERY_DATABASE_URL ?? '', lease)
  const closing = new AbortController()
  const creating = inDatabase(() => createTables(db)).catch((error: unknown) => {
    warn(`builds cannot be shared yet: ${error instanceof Error ? error.message : String(error)}`)
    void persist(() => inDatabase(() => createTables(db)), closing.signal).catch(() => {})
  })
  await creating
  const me = randomUUID()
  const table = createJobTable(db, config.NIXERY_MAX_QUEUE)
  const leases = createLeases({ db, renewals: renewals.db }, me, lease)
  const waiters = createWaiters(table, listener)
  const ask = createAsk(table, waiters)
  const log = openEventLog(db, listener)
  const { onBuild } = deps
  if (onBuild) log.follow(onBuild)
  const pulls = createPulls(
    catalog,
    uses,
    pullInterval,
    config.NIXERY_TAGS === 'any' ? ignoredTags() : undefined,
  )
  const builds = createSharedBuilds({
    table,
    ask,
    pins: createPins(ask, table),
    waiters,
    log,
    blobs,
    recent: createRecent(blobs),
    pulls,
    retryLease: config.NIXERY_RETRY_LEASE,
    traces: deps.traces,
    onRemembered: deps.onRemembered,
    onFailure: deps.onFailure,
  })
  const held: HeldLeases = new Map()
  let status: ReturnType<typeof openFleetStatus> | undefined
  let member: Membership | undefined

  return {
    builds,
    status: () =>
      (status ??= openFleetStatus(
        { ask, table, workers: createWorkers(db, lease) },
        namedSets(config)?.map(({ name }) => name) ?? [undefined],
      )),
    overview: () => readOverview(postgres),
    fence: createFence(held, leases, warn),
    async join(facts, onDifference) {
      const self = { id: me, host: hostname(), role: config.NIXERY_ROLE, version: deps.version }
      const replicas = createReplicas(db, longestUnseen)
      const { note } = deps
      member = joinFleet({ replicas, self, facts, onDifference, note, warn, every: lookInterval })
      await member.first
      return member
    },
    work(worker) {
      const { nixVersion, packages } = worker.status
      const facts = { host: hostname(), version: deps.version, nixVersion, packages }
      const workers = createWorkers(renewals.db, lease)
      const systems = config.NIXERY_WORKER_PLATFORMS.map((name) => platforms[name].system)
      const abilities = [...systems, ...worker.features]
      return startLoop({
        ...worker,
        redactor: deps.redactor,
        leases,
        held,
        listener,
        lease,
        abilities,
        most: config.NIXERY_WORKER_BUILDS,
        mayTake: () => member?.mayBuild() ?? false,
        presence: { here: () => workers.beHere(me, abilities, facts), gone: () => workers.leave(me) },
        sweep: () => sweep(db),
        warn,
      })
    },
    async close() {
      closing.abort()
      await member?.close()
      await status?.close()
      await pulls.close()
      await log.close()
      await waiters.close()
      await renewals.close()
    },
  }
}
