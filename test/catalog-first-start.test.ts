import assert from 'node:assert/strict'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import { digestOf } from '../src/image/digest.ts'
import { openFile } from './support/catalogs.ts'
import { startOpener } from './support/catalog-openers.ts'
import { beforeStatements } from './support/statements.ts'
import { parseAny, testKey } from '../src/catalog/keys-testing.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-first-start-'))
})
after(() => rm(directory, { recursive: true }))

let files = 0
const newFile = () => join(directory, `catalog-${(files += 1)}.db`)

const contentOf = (file: string) =>
  ['', '-wal', '-journal']
    .map((end) => (existsSync(`${file}${end}`) ? digestOf(readFileSync(`${file}${end}`)) : 'none'))
    .join(' ')

/** Asserts that a catalog opens, has these images and stores another one. */
async function assertUsable(file: string, images: readonly string[] = []): Promise<void> {
  const { catalog, warnings } = await openFile(file)
  for (const image of images) {
    assert.deepEqual(await catalog.image(testKey(image), parseAny), {}, `${file} lost ${image}`)
  }
  await catalog.rememberImage(testKey('next'), [1])
  assert.ok((await catalog.upkeep.born()) > 1.7e9)
  await catalog.close()
  assert.deepEqual(warnings, [])
  const database = new Database(file)
  assert.deepEqual(database.prepare("SELECT image FROM images WHERE key = 'next'").get(), { image: '[1]' })
  database.close()
}

describe('the first start of a catalog', () => {
  it('leaves a usable file if it is killed before any statement', async () => {
    const file = newFile()
    const copies: string[] = []
    // Copies the files that a process killed at this moment would leave.
    const restore = beforeStatements(() => {
      const copy = newFile()
      copies.push(copy)
      for (const end of ['', '-wal', '-journal']) {
        if (existsSync(`${file}${end}`)) copyFileSync(`${file}${end}`, `${copy}${end}`)
      }
    })
    try {
      const { catalog } = await openFile(file)
      await catalog.close()
    } finally {
      restore()
    }
    assert.ok(copies.length > 20, String(copies.length))
    // Most statements do not change the files, because they are part of one transaction.
    const different = new Map(copies.map((copy) => [contentOf(copy), copy]))
    assert.ok(different.size > 2, String(different.size))
    for (const copy of different.values()) await assertUsable(copy)
  })

  it('leaves a usable file if a process is killed during it', async () => {
    const file = newFile()
    const opener = await startOpener()
    // Half of the tables exist by then.
    assert.equal(await opener.open({ file, image: 'first', killAt: 15 }), undefined)
    await opener.stop()
    await assertUsable(file)
  })

  it('can run in several processes at once', async (t) => {
    const openers = await Promise.all(Array.from({ length: 4 }, startOpener))
    t.after(() => Promise.all(openers.map((opener) => opener.stop())))
    for (let round = 0; round < 4; round += 1) {
      const file = newFile()
      const outcomes = await Promise.all(
        openers.map((opener, index) => opener.open({ file, image: `image ${index}` })),
      )
      assert.deepEqual(
        outcomes,
        openers.map(() => ({ warnings: [] })),
      )
      await assertUsable(
        file,
        openers.map((_, index) => `image ${index}`),
      )
    }
  })
})
