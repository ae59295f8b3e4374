import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseStorePath } from '../image/store-path.ts'
import Database from 'better-sqlite3'
import type { Catalog } from './catalog.ts'
import { withFront } from './front.ts'
import { openCatalog } from './sql.ts'
import { sqliteOf } from './sqlite-database.ts'
import { withUses } from './uses.ts'
import { parseAny, testKey } from './keys-testing.ts'

const path = parseStorePath(`/nix/store/${'0'.repeat(32)}-p`)

/** A catalog with one row of each kind that were last used on day 5, on day 10. */
async function open() {
  const database = new Database(':memory:')
  const below = await openCatalog(sqliteOf(database))
  await below.rememberResolutions(new Map([[testKey('name'), {}]]), 'revision')
  await below.rememberPathFacts([{ storePath: path, narHash: 'a', narSize: 1, references: [] }])
  await below.rememberImage(testKey('image'), {})
  database.exec('UPDATE resolutions SET used_on = 5; UPDATE paths SET used_on = 5')
  let day = 10
  const written: string[] = []
  const watched: Catalog = {
    ...below,
    async rememberRowUses(uses) {
      written.push(...uses.resolutions, ...uses.paths)
      await below.rememberRowUses(uses)
    },
  }
  const usedOn = () =>
    ['resolutions', 'paths'].map((table) => database.prepare(`SELECT used_on FROM ${table}`).pluck().get())
  return {
    catalog: withUses(withFront(watched), { every: 1, today: () => day }),
    database,
    usedOn,
    written,
    turn: (to: number) => (day = to),
    untilUsedOn: async (wanted: number) => {
      while (usedOn().some((one) => one !== wanted)) await new Promise(setImmediate)
    },
  }
}

describe('the days on which rows are used', () => {
  it('are recorded asynchronously, once a day, also for cached rows', async () => {
    const { catalog, untilUsedOn, turn, written } = await open()
    const ask = async () => {
      await catalog.resolutions([testKey('name')], parseAny)
      await catalog.pathFacts([path])
    }
    for (const day of [10, 11]) {
      turn(day)
      await ask()
      await untilUsedOn(day)
      for (let count = 0; count < 50; count += 1) {
        await ask()
        await new Promise(setImmediate)
      }
    }
    await catalog.close()
    assert.deepEqual(written.sort(), [path, path, 'name', 'name'])
  })

  it('are written when the catalog is closed, together with the roots of images', async () => {
    const { catalog, usedOn, database } = await open()
    await catalog.resolutions([testKey('name'), testKey('unknown')], parseAny)
    await catalog.rememberRoots(testKey('image'), [path])
    const closed = catalog.close()
    const close = database.close.bind(database)
    const seen = Promise.withResolvers<unknown>()
    Object.assign(database, {
      close() {
        seen.resolve([usedOn(), database.prepare('SELECT roots FROM images').pluck().get()])
        return close()
      },
    })
    await closed
    assert.deepEqual(await seen.promise, [[10, 5], JSON.stringify([path])])
  })
})
