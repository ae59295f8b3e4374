import assert from 'node:assert/strict'
import { after, before, describe } from 'node:test'
import { describeBuilds } from '../builds/builds-conformance.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { openTestFleet } from './testing.ts'

describe('builds through a database', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  describeBuilds('builds by a worker', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const { fake } = await fleet.worker()
    return { builds: await fleet.front(), fake, close: () => fleet.close() }
  })
})
