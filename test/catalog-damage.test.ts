import assert from 'node:assert/strict'
import { mkdtemp, open, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Catalog } from '../src/catalog/catalog.ts'
import { digestOf } from '../src/image/digest.ts'
import { facts, factsOf, fill, layer, openFile, pause, setAsideOf } from './support/catalogs.ts'
import { parseAny, testKey } from '../src/catalog/keys-testing.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-damage-'))
})
after(() => rm(directory, { recursive: true }))

let files = 0
const newFile = () => join(directory, `catalog-${(files += 1)}.db`)

describe('a damaged catalog', () => {
  const write = async (file: string, at: number, bytes: Buffer) => {
    const handle = await open(file, 'r+')
    await handle.write(bytes, 0, bytes.length, at)
    await handle.close()
  }
  const garbage = (size: number) => Buffer.alloc(size, 'not a database ')
  const damages: Record<string, (file: string) => Promise<void>> = {
    'is garbage': (file) => writeFile(file, garbage(100_000)),
    'has no header': (file) => write(file, 0, garbage(4096)),
    'is truncated': async (file) => truncate(file, ((await stat(file)).size >> 13) << 12),
    'has a page of garbage': async (file) =>
      write(file, ((await stat(file)).size >> 13) << 12, garbage(4096)),
    'has zeros after its header': async (file) =>
      write(file, 4096, Buffer.alloc((await stat(file)).size - 4096)),
  }
  for (const [what, damage] of Object.entries(damages)) {
    it(`that ${what} when it is opened is set aside and recreated`, async () => {
      const file = newFile()
      const first = await openFile(file)
      await fill(first.catalog)
      await first.catalog.close()
      await damage(file)
      const { catalog, warnings } = await openFile(file)
      assert.equal(warnings.length, 1)
      assert.match(
        warnings[0] ?? '',
        /was damaged \(.*\) and is recreated; the old one is kept as .*damaged-/,
      )
      assert.equal(await catalog.layer(testKey('layer 1')), undefined)
      await catalog.rememberLayer(testKey('layer 1'), layer('1'), [])
      await catalog.close()
      const reopened = await openFile(file)
      assert.deepEqual(await reopened.catalog.layer(testKey('layer 1')), layer('1'))
      assert.deepEqual(reopened.warnings, [])
      await reopened.catalog.close()
      assert.equal((await setAsideOf(file)).length, 1)
    })

    it(`that ${what} while it is open fails no operation`, async () => {
      const file = newFile()
      const first = await openFile(file)
      await fill(first.catalog)
      // More than SQLite's page cache holds.
      const large = ['x'.repeat(200_000)]
      for (let index = 0; index < 20; index += 1)
        await first.catalog.rememberImage(testKey(`${index}`), large)
      await first.catalog.close()
      // A new connection has an empty cache.
      const { catalog, warnings } = await openFile(file)
      await damage(file)
      const rows = await Promise.all(
        Array.from({ length: 300 }, async (_, index) => [
          await catalog.layer(testKey(`layer ${index}`)),
          await catalog.blobSize(digestOf(`${index}`)),
          await factsOf(catalog, index),
        ]),
      )
      for (let index = 0; index < 20; index += 1) {
        const image = await catalog.image(testKey(`${index}`), parseAny)
        if (image !== undefined) assert.deepEqual(image, large)
      }
      if (what === 'has zeros after its header') assert.match(warnings.join('\n'), /damaged/)
      // Rows that are still readable must be correct.
      for (const [index, values] of rows.entries()) {
        for (const [place, expected] of [layer(`${index}`), 7, 'sha256-a'].entries()) {
          if (values[place] !== undefined) assert.deepEqual(values[place], expected)
        }
      }
      await fill(catalog, 5)
      await delay(2 * pause)
      await catalog.rememberLayer(testKey('late'), layer('late'), [])
      await catalog.close()
      // SQLite's page cache may have hidden the damage until now.
      const reopened = await openFile(file)
      const late = await reopened.catalog.layer(testKey('late'))
      if (reopened.warnings.length === 0) assert.deepEqual(late, layer('late'))
      else assert.match(reopened.warnings.join('\n'), /^the catalog was damaged[^\n]*$/)
      await reopened.catalog.close()
      assert.ok(
        warnings.every((line) => /damaged|not used/.test(line)),
        warnings.join('\n'),
      )
    })
  }

  it('ignores a row with invalid values until it is written again, and uses the others', async () => {
    const one = digestOf('1')
    const path = `WHERE store_path = '${facts(1).storePath}'`
    const rows: [change: string, read: (catalog: Catalog) => Promise<unknown>][] = [
      [
        "UPDATE layers SET digest = 'sha256:x' WHERE key = 'layer 1'",
        (catalog) => catalog.layer(testKey('layer 1')),
      ],
      [
        "UPDATE layers SET size = 'many' WHERE key = 'layer 1'",
        (catalog) => catalog.layer(testKey('layer 1')),
      ],
      [
        "UPDATE layers SET compression = 'toString' WHERE key = 'layer 1'",
        (catalog) => catalog.layer(testKey('layer 1')),
      ],
      [`UPDATE blobs SET size = -1 WHERE digest = '${one}'`, (catalog) => catalog.blobSize(one)],
      [`UPDATE paths SET path_references = '["/etc/passwd"]' ${path}`, (catalog) => factsOf(catalog, 1)],
      [`UPDATE paths SET path_references = x'00' ${path}`, (catalog) => factsOf(catalog, 1)],
    ]
    for (const [change, read] of rows) {
      const file = newFile()
      const first = await openFile(file)
      await fill(first.catalog, 3)
      await first.catalog.close()
      const database = new Database(file)
      database.exec(change)
      database.close()
      const { catalog, warnings } = await openFile(file)
      assert.equal(await read(catalog), undefined)
      assert.deepEqual(await catalog.layer(testKey('layer 2')), layer('2'))
      assert.equal(await catalog.blobSize(digestOf('2')), 7)
      assert.equal(await factsOf(catalog, 2), 'sha256-a')
      await fill(catalog, 3)
      await catalog.close()
      const reopened = await openFile(file)
      assert.notEqual(await read(reopened.catalog), undefined)
      await reopened.catalog.close()
      assert.deepEqual([...warnings, ...reopened.warnings], [])
      assert.deepEqual(await setAsideOf(file), [])
    }
  })

  it('that two processes find damaged is set aside by the first', async () => {
    const file = newFile()
    const [one, two] = [await openFile(file), await openFile(file)]
    await fill(one.catalog)
    await damages['has zeros after its header']?.(file)
    await truncate(`${file}-wal`, 0)
    for (const { catalog } of [one, two]) {
      for (let index = 0; index < 300; index += 1) await catalog.members([testKey(`${index}`)])
      await catalog.rememberBlob(digestOf('both'), 5)
    }
    await delay(2 * pause)
    await two.catalog.rememberBlob(digestOf('two'), 3)
    await one.catalog.close()
    await two.catalog.close()
    const { catalog } = await openFile(file)
    assert.equal(await catalog.blobSize(digestOf('two')), 3)
    await catalog.close()
    assert.equal((await setAsideOf(file)).filter((name) => name.endsWith('Z')).length, 1)
  })
})
