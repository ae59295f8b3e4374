import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { describeCatalog } from './conformance.ts'
import { openSqliteCatalog } from './sqlite.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-catalog-'))
})
after(() => rm(directory, { recursive: true }))

describeCatalog('SQLite in memory', () => openSqliteCatalog(':memory:'))
describeCatalog('a SQLite file', async () =>
  openSqliteCatalog(join(await mkdtemp(join(directory, 'c-')), 'new', 'catalog.db')),
)

describe('a SQLite file', () => {
  it('keeps what it was told', async () => {
    const file = join(directory, 'kept.db')
    const first = await openSqliteCatalog(file)
    await first.rememberImage('a', 'x')
    await first.close()
    const second = await openSqliteCatalog(file)
    assert.equal(await second.image('a'), 'x')
    await second.close()
  })

  it('says so when it is no database', async () => {
    const file = join(directory, 'text.db')
    await writeFile(file, 'this is not a database, and long enough to be one'.repeat(100))
    await assert.rejects(openSqliteCatalog(file), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
  })
})
