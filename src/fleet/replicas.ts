import { sql, type Kysely } from 'kysely'
import { z } from 'zod'
import type { FactsByPart, Replica } from './agreement.ts'
import { inDatabase, interval } from './job-table.ts'

/** The registry of all processes of a fleet. All methods throw STORE_UNAVAILABLE. */
export type Replicas = {
  /** Reports a process as running for `length`. @returns all running processes, including this one */
  beHere(self: Self): Promise<Replica[]>
  leave(id: string): Promise<void>
  /** The oldest first. */
  list(): Promise<Replica[]>
  /** Makes processes stop or resume taking work. */
  drain(ids: readonly string[], draining: boolean): Promise<void>
}

export type Self = Pick<Replica, 'id' | 'host' | 'role' | 'version'> & {
  readonly facts: FactsByPart
}

const factsForm = z.record(z.string(), z.string())
const partsForm = z.object({ builds: factsForm.optional(), serves: factsForm.optional() })

type Row = Omit<Replica, 'facts'> & { readonly facts: string }

/** @param length milliseconds for which a process counts as running after its last report */
export function createReplicas(db: Kysely<unknown>, length: number): Replicas {
  const list = async (): Promise<Replica[]> => {
    const { rows } = await sql<Row>`
      select id, host, role, version, draining, facts,
        extract(epoch from now() - started_at)::float8 as age,
        extract(epoch from now() - seen_at)::float8 as seen
      from replicas where seen_at > now() - ${interval(length)}
      order by started_at, id`.execute(db)
    return rows.map((row) => ({ ...row, facts: factsIn(row.facts) }))
  }
  return {
    list: () => inDatabase(list),
    beHere: ({ id, host, role, version, facts }) =>
      inDatabase(async () => {
        await sql`
          insert into replicas (id, host, role, version, facts)
          values (${id}, ${host}, ${role}, ${version}, ${JSON.stringify(facts)})
          on conflict (id) do update set seen_at = now(), facts = excluded.facts`.execute(db)
        return list()
      }),
    leave: (id) =>
      inDatabase(async () => {
        // Including those that ended silently.
        await sql`delete from replicas where id = ${id} or seen_at < now() - interval '1 hour'`.execute(db)
      }),
    drain: (ids, draining) =>
      inDatabase(async () => {
        await sql`update replicas set draining = ${draining} where id = any(${ids}::text[])`.execute(db)
      }),
  }
}

function factsIn(text: string): FactsByPart {
  try {
    return partsForm.safeParse(JSON.parse(text)).data ?? {}
  } catch {
    return {}
  }
}
