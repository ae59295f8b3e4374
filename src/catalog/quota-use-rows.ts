import { sql, type Kysely, type RawBuilder } from 'kysely'
import type { QuotaUses, WindowUse } from './quota-uses.ts'
import type { Tables } from './schema.ts'

type Row = { readonly key: string; readonly used: number; readonly left: number }

const useOf = ({ used, left }: Pick<Row, 'used' | 'left'>): WindowUse => ({ used, left: Math.max(0, left) })

/** @param seconds seconds since 1970, by the clock of the database */
export function quotaUsesIn(db: Kysely<Tables>, seconds: RawBuilder<number>): QuotaUses {
  // PostgreSQL cannot see that a bound value is a number.
  const number = (value: number) => sql<number>`cast(${value} as bigint)`
  const write = async (
    uses: readonly { readonly key: string; readonly amount: number; readonly seconds: number }[],
    limit?: number,
  ): Promise<readonly Row[]> => {
    const rows = uses.map(
      (use) =>
        sql`(${use.key}, ${number(use.amount)}, ${seconds} + ${number(use.seconds)}, ${number(use.seconds)})`,
    )
    // The clock is read once for each row, when it is inserted.
    const hasEnded = sql`quota_uses.ends_at <= excluded.ends_at - excluded.seconds`
    const { rows: written } = await sql<Row>`
      insert into quota_uses (key, used, ends_at, seconds) values ${sql.join(rows)}
      on conflict (key) do update set
        used = excluded.used + case when ${hasEnded} then 0 else quota_uses.used end,
        ends_at = case when ${hasEnded} then excluded.ends_at else quota_uses.ends_at end
      ${limit === undefined ? sql`` : sql`where ${hasEnded} or quota_uses.used + excluded.used <= ${number(limit)}`}
      returning key, used, ends_at - ${seconds} as left`.execute(db)
    return written
  }
  return {
    async take(key, amount, limit, windowSeconds) {
      const [taken] = await write([{ key, amount, seconds: windowSeconds }], limit)
      if (taken) return { ...useOf(taken), taken: true }
      const { rows } = await sql<Row>`
        select key, used, ends_at - ${seconds} as left from quota_uses where key = ${key}`.execute(db)
      return { ...useOf(rows[0] ?? { used: limit, left: 0 }), taken: false }
    },
    async add(uses) {
      if (uses.length === 0) return new Map()
      // In the order of their keys, so that processes do not wait for each other.
      const written = await write([...uses].sort((one, other) => (one.key < other.key ? -1 : 1)))
      return new Map(written.map((row) => [row.key, useOf(row)]))
    },
    async giveBack(key, amount) {
      await sql`
        update quota_uses set used = case when used > ${number(amount)} then used - ${number(amount)} else 0 end
        where key = ${key} and ends_at > ${seconds}`.execute(db)
    },
  }
}
