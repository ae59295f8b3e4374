import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import { hasCode } from '../errors.ts'
import { describeCatalog } from './conformance.ts'
import { withFront } from './front.ts'
import { openCatalog } from './sql.ts'
import { openSqliteCatalog, sqliteDatabase } from './sqlite.ts'
import { sqliteOf } from './sqlite-database.ts'
import { openTolerantCatalog } from './tolerant.ts'
import { parseAny, testKey } from './keys-testing.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-catalog-'))
})
after(() => rm(directory, { recursive: true }))

const fresh = async () => join(await mkdtemp(join(directory, 'c-')), 'new', 'catalog.db')
const bare = () => openCatalog(sqliteOf(new Database(':memory:')))

describeCatalog('SQL alone', bare)
describeCatalog('SQL with an in-memory cache in front', async () => withFront(await bare()))
describeCatalog('a tolerant catalog over SQL', () =>
  openTolerantCatalog(sqliteDatabase(':memory:', 0), { warn: assert.fail, pause: 1 }),
)
describeCatalog('all of it, over a SQLite file', async () =>
  openSqliteCatalog(await fresh(), { warn: assert.fail }),
)

describe('a SQLite file', () => {
  it('keeps what was written', async () => {
    const file = join(directory, 'kept.db')
    const first = await openSqliteCatalog(file)
    await first.rememberImage(testKey('a'), [1])
    await first.close()
    const second = await openSqliteCatalog(file)
    assert.deepEqual(await second.image(testKey('a'), parseAny), [1])
    await second.close()
  })

  it('reports that it cannot be opened', async () => {
    const file = join(directory, 'folder.db')
    await mkdir(file)
    await writeFile(join(directory, 'file'), '')
    for (const bad of [file, join(directory, 'file', 'catalog.db')]) {
      await assert.rejects(openSqliteCatalog(bad), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
    }
  })
})
