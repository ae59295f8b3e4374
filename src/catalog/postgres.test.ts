import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { openPool, type Postgres } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import type { Catalog } from './catalog.ts'
import { describeCatalog } from './conformance.ts'
import { openPostgresCatalog, postgresDatabase } from './postgres.ts'

describe('PostgreSQL', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  let directUrl: string
  let postgres: Postgres
  before(async () => {
    server = await startPostgres()
    directUrl = await server.database()
    postgres = await openPool({ url: directUrl, most: 3 })
    await (await openPostgresCatalog({ postgres, directUrl, warn: assert.fail })).close()
  })
  after(async () => {
    await postgres.close()
    await server.dispose()
  })

  const tables = `select string_agg(quote_ident(tablename), ', ') as names from pg_tables
    where schemaname = 'public' and tablename <> 'about'`
  /** A new database takes half a second, and an emptied one a few milliseconds. */
  const emptied = async (open: () => Promise<Catalog>) => {
    const [all] = await server.run(directUrl, tables)
    await server.run(directUrl, `truncate ${String(all?.['names'])}`)
    return open()
  }

  describeCatalog('PostgreSQL alone', () => emptied(() => postgresDatabase({ postgres, directUrl }).open()))
  describeCatalog('all of it, over PostgreSQL', () =>
    emptied(() => openPostgresCatalog({ postgres, directUrl, warn: assert.fail })),
  )
})
