import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { hasCode } from '../src/errors.ts'
import { digestOf } from '../src/image/digest.ts'
import { facts, factsOf, fill, layer, openFile, pause } from './support/catalogs.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'
import { parseAny, testKey } from '../src/catalog/keys-testing.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

let files = 0
const newFile = () => join(workspace.folder, `catalog-${(files += 1)}.db`)

/** Locks a database in another process. The returned function ends that process. */
async function lock(file: string, how: string): Promise<() => Promise<void>> {
  const script = `
    const database = new (require('better-sqlite3'))(${JSON.stringify(file)})
    database.exec(${JSON.stringify(how)})
    console.log('locked')
    setInterval(() => {}, 1000)`
  const holder = spawn(process.execPath, ['-e', script], {
    cwd: join(import.meta.dirname, '..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  return async () => {
    const ended = once(holder, 'exit')
    holder.kill('SIGKILL')
    await ended
  }
}
const locks = {
  'against writers': 'BEGIN EXCLUSIVE',
  exclusively: 'PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM images; COMMIT',
}

describe('a catalog that another process has locked', () => {
  for (const [what, how] of Object.entries(locks)) {
    it(`${what}: returns no outdated values, and is used again when the lock is released`, async () => {
      const file = newFile()
      const first = await openFile(file)
      await fill(first.catalog)
      await first.catalog.close()

      // Like a new process, with an empty in-memory cache.
      const { catalog, warnings } = await openFile(file)
      if (what === 'exclusively') await catalog.close()
      const unlock = await lock(file, how)
      const used = what === 'exclusively' ? await openFile(file) : { catalog, warnings }
      await used.catalog.forgetBlob(digestOf('0'))
      await used.catalog.rememberPathFacts([facts(1, 'sha256-rebuilt')])
      await used.catalog.rememberLayer(testKey('new'), layer('new'), [])
      assert.equal(used.warnings.length, 1)
      assert.match(used.warnings[0] ?? '', /fails and is not used for a while: SQLITE_BUSY/)
      assert.equal(await used.catalog.layer(testKey('layer 0')), undefined)
      assert.equal(await used.catalog.blobSize(digestOf('0')), undefined)
      // The in-memory cache still has the new values.
      assert.deepEqual(await used.catalog.layer(testKey('new')), layer('new'))
      assert.equal(await factsOf(used.catalog, 1), 'sha256-rebuilt')
      await assert.rejects(used.catalog.upkeep.images({ limit: 1 }, parseAny), (error) =>
        hasCode(error, 'STORE_UNAVAILABLE'),
      )

      await unlock()
      await delay(2 * pause)
      assert.equal(await used.catalog.layer(testKey('layer 0')), undefined)
      assert.deepEqual(await used.catalog.layer(testKey('layer 2')), layer('2'))
      await used.catalog.close()
      // Deletions that the lock prevented were made up for.
      const last = await openFile(file)
      assert.equal(await last.catalog.layer(testKey('layer 0')), undefined)
      assert.equal(await last.catalog.blobSize(digestOf('0')), undefined)
      assert.equal(await factsOf(last.catalog, 1), undefined)
      assert.equal(await factsOf(last.catalog, 2), 'sha256-a')
      await last.catalog.close()
    })
  }
})

describe('a catalog on a disk', () => {
  const full = async (disk: string) => {
    const file = join(disk, 'ballast')
    const handle = await open(file, 'w')
    const block = Buffer.alloc(4096)
    await assert.rejects(
      (async () => {
        for (;;) await handle.write(block)
      })(),
      /ENOSPC/,
    )
    await handle.close()
    return () => rm(file)
  }
  it('that is full is not used until there is space', async () => {
    const disk = await workspace.mountSmallDisk(4)
    const file = join(disk, 'catalog.db')
    const { catalog, warnings } = await openFile(file)
    await fill(catalog, 20)
    const makeRoom = await full(disk)
    // The write-ahead log may still have free space.
    for (let index = 100; warnings.length === 0 && index < 5_000; index += 1) {
      await catalog.rememberPathFacts([facts(index)])
    }
    assert.match(warnings[0] ?? '', /not used for a while: SQLITE_(FULL|IOERR)/)
    await catalog.forgetBlob(digestOf('3'))
    assert.equal(await catalog.layer(testKey('layer 3')), undefined)
    assert.deepEqual(await catalog.layer(testKey('layer 4')), layer('4'))
    // The catalog opens without space, too, but finds nothing.
    const other = await openFile(file)
    assert.equal(await other.catalog.image(testKey('x'), parseAny), undefined)
    await other.catalog.close()
    await makeRoom()
    await delay(2 * pause)
    await catalog.rememberLayer(testKey('later'), layer('later'), [])
    await catalog.close()
    const reopened = await openFile(file)
    assert.deepEqual(await reopened.catalog.layer(testKey('later')), layer('later'))
    assert.equal(await reopened.catalog.layer(testKey('layer 3')), undefined)
    assert.deepEqual(await reopened.catalog.layer(testKey('layer 4')), layer('4'))
    await reopened.catalog.close()
  })

  it('that is read-only is reported when it is opened', async () => {
    const disk = await workspace.mountSmallDisk(4)
    const first = await openFile(join(disk, 'catalog.db'))
    await first.catalog.close()
    await execa('mount', ['-o', 'remount,ro', disk])
    await assert.rejects(
      openFile(join(disk, 'catalog.db')),
      (error) => hasCode(error, 'STORE_UNAVAILABLE') && error.hint !== undefined,
    )
  })
})
