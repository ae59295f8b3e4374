import { sql, type Kysely } from 'kysely'
import { z } from 'zod'
import type { SetStatus } from '../builds/builds.ts'
import { inDatabase, interval } from './job-table.ts'

/** The description of a worker, as plain data. */
export type WorkerFacts = {
  readonly host: string
  readonly version: string
  readonly nixVersion: string
  readonly packages: readonly SetStatus[]
}

/** The registry of workers. All methods throw STORE_UNAVAILABLE. */
export type Workers = {
  /**
   * Reports a worker as running, for the length of a lease.
   * @param systems what it can build for, and its system features
   */
  beHere(id: string, systems: readonly string[], facts: WorkerFacts): Promise<void>
  leave(id: string): Promise<void>
  /** The running workers. */
  list(): Promise<WorkerFacts[]>
}

const setForm = z.object({
  set: z.string().optional(),
  description: z.string(),
  publicDescription: z.string().optional(),
})
const factsForm = z.object({
  host: z.string(),
  version: z.string(),
  nixVersion: z.string(),
  packages: z.array(setForm.transform(({ set, ...rest }): SetStatus => ({ set, ...rest }))),
})

/** @param length milliseconds for which a worker counts as running after its last report */
export function createWorkers(db: Kysely<unknown>, length: number): Workers {
  return {
    beHere: (id, systems, facts) =>
      inDatabase(async () => {
        await sql`
          insert into workers (id, seen_until, systems, facts)
          values (${id}, now() + ${interval(length)}, ${systems}::text[], ${JSON.stringify(facts)})
          on conflict (id) do update set seen_until = excluded.seen_until, facts = excluded.facts`.execute(db)
      }),
    leave: (id) =>
      inDatabase(async () => {
        await sql`delete from workers where id = ${id}`.execute(db)
      }),
    list: () =>
      inDatabase(async () => {
        const { rows } = await sql<{ facts: string }>`
          select facts from workers where seen_until > now() order by id`.execute(db)
        return rows.flatMap(({ facts }) => factsIn(facts) ?? [])
      }),
  }
}

function factsIn(text: string): WorkerFacts | undefined {
  try {
    return factsForm.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
