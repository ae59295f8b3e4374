import { sql, type CreateTableBuilder, type Kysely, type RawBuilder } from 'kysely'
import { schema, type Column, type Table, type Tables } from './schema.ts'

/**
 * Adds what a database lacks: everything to a new one, and the rest to one of an earlier version, even if that version was
 * killed while it created its tables. Run it in a transaction.
 * @param textType of columns that hold text
 */
export async function addMissing(db: Kysely<Tables>, textType?: RawBuilder<unknown>): Promise<void> {
  const typeOf = (type: Column['type']) => (type === 'text' && textType ? textType : type)
  const now = Math.floor(Date.now() / 1000)
  const tables = await db.introspection.getTables()
  // In PostgreSQL other schemas may have tables of the same names.
  const inSchema = tables.some(({ schema: one }) => one !== undefined) ? await currentSchema(db) : undefined
  const found = new Map(
    tables
      .filter(({ schema: one }) => one === inSchema)
      .map(({ name, columns }) => [name, new Set(columns.map((column) => column.name))]),
  )
  for (const [name, table] of Object.entries<Table<Record<string, unknown>>>(schema(now))) {
    const columns = Object.entries(table.columns)
    const existing = found.get(name)
    if (existing) {
      for (const [column, { type, ...options }] of columns) {
        if (existing.has(column)) continue
        await db.schema
          .alterTable(name)
          .addColumn(column, typeOf(type), (built) => constrained(built, options))
          .execute()
      }
    } else {
      let create: CreateTableBuilder<string, string> = db.schema.createTable(name)
      for (const [column, { type, ...options }] of columns) {
        create = create.addColumn(column, typeOf(type), (built) => constrained(built, options))
      }
      await create.addPrimaryKeyConstraint(`${name}_key`, [...table.key]).execute()
    }
    for (const index of table.indexes ?? []) {
      const indexed = typeof index === 'string' ? [index] : [...index]
      const indexName = [name, ...indexed].join('_')
      await db.schema.createIndex(indexName).ifNotExists().on(name).columns(indexed).execute()
    }
  }
  await db
    .insertInto('about')
    .values({ key: 'born', value: String(now) })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute()
}

async function currentSchema(db: Kysely<Tables>): Promise<string | undefined> {
  const { rows } = await sql<{ name: string }>`select current_schema() as name`.execute(db)
  return rows[0]?.name
}

function constrained<Built extends { notNull(): Built; defaultTo(value: number): Built }>(
  column: Built,
  { notNull, default: value }: Omit<Column, 'type'>,
): Built {
  const required = notNull ? column.notNull() : column
  return value === undefined ? required : required.defaultTo(value)
}
