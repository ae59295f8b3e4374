import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Dialect } from 'kysely'
import { digestOf } from '../image/digest.ts'
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
    await server.run(directUrl, `delete from about where key = 'scrub'`)
    return open()
  }

  describeCatalog('PostgreSQL alone', () => emptied(() => postgresDatabase({ postgres, directUrl }).open()))
  describeCatalog('all of it, over PostgreSQL', () =>
    emptied(() => openPostgresCatalog({ postgres, directUrl, warn: assert.fail })),
  )

  it('gets what it knows of the blobs of an image by one statement', async () => {
    let statements = 0
    const dialect: Dialect = {
      createAdapter: () => postgres.dialect.createAdapter(),
      createIntrospector: (db) => postgres.dialect.createIntrospector(db),
      createQueryCompiler: () => postgres.dialect.createQueryCompiler(),
      createDriver() {
        const driver = postgres.dialect.createDriver()
        const acquire = driver.acquireConnection.bind(driver)
        driver.acquireConnection = (...args) => {
          statements += 1
          return acquire(...args)
        }
        return driver
      },
    }
    const catalog = await openPostgresCatalog({
      postgres: { ...postgres, dialect },
      directUrl,
      warn: assert.fail,
    })
    const digests = Array.from({ length: 60 }, (_, n) => digestOf(`blob ${n}`))
    for (const digest of digests) await catalog.rememberBlob(digest, 5)
    await catalog.rememberBlobMark(digestOf('blob 0'), 'mark')
    const replica = await openPostgresCatalog({
      postgres: { ...postgres, dialect },
      directUrl,
      warn: assert.fail,
    })
    statements = 0
    const sizes = await Promise.all(digests.map((digest) => replica.blobSize(digest)))
    assert.deepEqual(new Set(sizes), new Set([5]))
    const marks = await Promise.all(digests.map((digest) => replica.blobMark(digest)))
    assert.deepEqual(marks.slice(0, 2), ['mark', undefined])
    assert.equal(statements, 2)
    await catalog.close()
    await replica.close()
  })
})
