import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { openPool, type Postgres } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import type { Catalog } from './catalog.ts'
import { describeCatalog } from './conformance.ts'
import { openPostgresCatalog, postgresDatabase } from './postgres.ts'

describe('PostgreSQL', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  /** A catalog over an empty database, which closes its connections. */
  const openWith = async (open: (postgres: Postgres, directUrl: string) => Promise<Catalog>) => {
    const directUrl = await server.database()
    const postgres = await openPool({ url: directUrl, most: 3 })
    const catalog = await open(postgres, directUrl)
    const close = async () => {
      await catalog.close()
      await postgres.close()
    }
    return { ...catalog, close }
  }

  describeCatalog('SQL alone', () =>
    openWith((postgres, directUrl) => postgresDatabase({ postgres, directUrl }).open()),
  )
  describeCatalog('all of it', () =>
    openWith((postgres, directUrl) => openPostgresCatalog({ postgres, directUrl, warn: assert.fail })),
  )
})
