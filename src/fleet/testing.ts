import { randomUUID } from 'node:crypto'
import { Kysely } from 'kysely'
import type { Blobs } from '../builds/blobs.ts'
import { openFakeBuilds } from '../builds/fake-builds-testing.ts'
import { createRecent } from '../builds/recent.ts'
import { postgresDatabase } from '../catalog/postgres.ts'
import { openListener, type Listener } from '../postgres/listener.ts'
import { openPool } from '../postgres/pool.ts'
import { createRedactor } from '../text/redact.ts'
import { createAsk } from './ask.ts'
import { openEventLog } from './event-log.ts'
import { createJobTable } from './job-table.ts'
import { createLeases, type Leases } from './leases.ts'
import { createPins } from './pins.ts'
import { openRenewals } from './renewals.ts'
import { createTables } from './schema.ts'
import { createSharedBuilds, type RequestTraces, type SharedBuilds } from './shared-builds.ts'
import { sweep } from './sweep.ts'
import { createWaiters } from './waiters.ts'
import { createFence, type HeldLeases } from './held-leases.ts'
import { startLoop, type WorkerLoop } from './worker-loop.ts'
import { createWorkers } from './workers.ts'

type TestWorker = {
  readonly fake: ReturnType<typeof openFakeBuilds>
  readonly leases: Leases
  readonly held: HeldLeases
  readonly loop: WorkerLoop
}

export type TestFleetOptions = {
  readonly warn: (line: string) => void
  /** The URL without a pooler. */
  readonly directUrl?: string
  /** Milliseconds. */
  readonly lease?: number
  /** Whether notifications are lost. */
  readonly deaf?: boolean
}

/** Front ends and workers over a database, all in this process; the workers' builds are fakes. */
export async function openTestFleet(
  url: string,
  { warn, directUrl = url, lease = 3_000, deaf = false }: TestFleetOptions,
) {
  const pool = await openPool({ url })
  const db = new Kysely<unknown>({ dialect: pool.dialect })
  await createTables(db)
  const catalog = await postgresDatabase({ postgres: pool, directUrl }).open()
  const renewals = await openRenewals(url, lease)
  const real = await openListener({ url: directUrl, warn })
  const listener: Pick<Listener, 'listen'> = deaf ? { listen: () => () => {} } : real
  const table = createJobTable(db, 3)
  const ends: (() => Promise<void>)[] = []
  // Every blob exists, and has one byte.
  const blobs = { losses: 0, find: () => Promise.resolve(1) } satisfies Partial<Blobs>

  return {
    db,
    renewals: renewals.db,
    table,
    blobs,
    async front(traces?: RequestTraces): Promise<SharedBuilds> {
      const waiters = createWaiters(table, listener)
      const log = openEventLog(db, listener)
      const ask = createAsk(table, waiters)
      ends.push(
        () => waiters.close(),
        () => log.close(),
      )
      return createSharedBuilds({
        table,
        ask,
        waiters,
        log,
        blobs: blobs as Partial<Blobs> as Blobs,
        pins: createPins(ask, table),
        recent: createRecent(blobs as Partial<Blobs> as Blobs),
        pulls: { note() {} },
        retryLease: 600,
        traces,
      })
    },
    /**
     * @param abilities systems and system features
     * @param refusal with which Nix refuses each build
     * @param mayTake whether it may take jobs
     */
    async worker(
      abilities: readonly string[] = ['x86_64-linux'],
      refusal?: Error,
      mayTake = () => true,
    ): Promise<TestWorker> {
      const id = randomUUID()
      const leases = createLeases({ db, renewals: renewals.db }, id, lease)
      const held: HeldLeases = new Map()
      const fake = openFakeBuilds({ fence: createFence(held, leases, warn), refusal })
      const workers = createWorkers(renewals.db, lease)
      const facts = { host: 'test', version: '0', nixVersion: '2.8', packages: [] }
      const loop = startLoop({
        builds: fake.builds,
        status: {
          tags: () => Promise.resolve(['latest']),
          revision: () => Promise.resolve('r'),
          recipePackages: () => Promise.resolve(new Map()),
        },
        redactor: createRedactor(['a secret']),
        leases,
        held,
        listener,
        abilities,
        lease,
        most: 2,
        mayTake,
        presence: { here: () => workers.beHere(id, abilities, facts), gone: () => workers.leave(id) },
        sweep: () => sweep(db),
        warn,
      })
      ends.push(async () => {
        fake.end()
        await loop.close()
      })
      return { fake, leases, held, loop }
    },
    async close() {
      for (const end of ends.reverse()) await end()
      await real.close()
      await renewals.close()
      await catalog.close()
      await pool.close()
    },
  }
}
