import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import { describeBuilds } from '../src/builds/builds-conformance.ts'
import { describeCatalog } from '../src/catalog/conformance.ts'
import { openPostgresCatalog } from '../src/catalog/postgres.ts'
import { openTestFleet } from '../src/fleet/testing.ts'
import { openPool } from '../src/postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../src/postgres/testing.ts'
import { startPgbouncer, type Pgbouncer } from './support/pgbouncer.ts'

describe('a database behind a pooler of transactions', { skip: noPostgres, timeout: 900_000 }, () => {
  let folder: string
  let server: TestPostgres
  let pooler: Pgbouncer

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nixery-pooler-'))
    server = await startPostgres()
    pooler = await startPgbouncer(folder, await server.database())
  })
  after(async () => {
    await pooler?.stop()
    await server?.dispose()
    await rm(folder, { recursive: true, force: true })
  })

  describeCatalog('a catalog', async () => {
    const directUrl = await server.database()
    const postgres = await openPool({ url: pooler.url(directUrl) })
    const catalog = await openPostgresCatalog({ postgres, directUrl, warn: assert.fail })
    const close = async () => {
      await catalog.close()
      await postgres.close()
    }
    return { ...catalog, close }
  })

  describeBuilds('builds', async () => {
    const directUrl = await server.database()
    const fleet = await openTestFleet(pooler.url(directUrl), { directUrl, warn: assert.fail })
    const { fake } = await fleet.worker()
    return { builds: await fleet.front(), fake, close: () => fleet.close() }
  })
})
