import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import type { Objects } from './objects.ts'
import { failsWith } from './testing.ts'

/** The tests that all `Objects` must pass. `open` returns a new empty place. */
export function describeObjects(name: string, open: () => Promise<Objects>): void {
  const mediaType = 'text/plain'

  describe(name, () => {
    let objects: Objects
    let folder: string
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'nixery-objects-'))
      objects = await open()
    })
    after(() => rm(folder, { recursive: true }))

    it('returns stored files', async () => {
      for (const size of [0, 70_000, 20_000_000]) {
        const bytes = randomBytes(size)
        const file = join(folder, String(size))
        await writeFile(file, bytes)
        await objects.upload(`nar/${size}.nar`, { size, mediaType }, file)
        assert.equal(await objects.size(`nar/${size}.nar`), size)
        assert.deepEqual(await buffer(await objects.open(`nar/${size}.nar`)), bytes)
        await objects.upload(`nar/${size}.nar`, { size, mediaType }, file)
      }
    })

    it('refuses a file that has another size', async () => {
      const file = join(folder, 'short')
      await writeFile(file, 'short')
      await failsWith('STORE_UNAVAILABLE', objects.upload('nar/short', { size: 6, mediaType }, file))
      assert.equal(await objects.size('nar/short'), undefined)
    })

    it('creates a file only once, also with concurrent calls', async () => {
      const texts = Array.from({ length: 8 }, (_, index) => `by ${index}`)
      const made = await Promise.all(
        texts.map((text) => objects.create('one.narinfo', Buffer.from(text), mediaType)),
      )
      const winners = texts.filter((_, index) => made[index])
      assert.equal(winners.length, 1, winners.join(', '))
      assert.equal(String(await objects.read('one.narinfo', 100)), winners[0])
      assert.equal(await objects.create('one.narinfo', Buffer.from('later'), mediaType), false)
      assert.equal(String(await objects.read('one.narinfo', 100)), winners[0])
    })

    it('distinguishes missing files from too large ones', async () => {
      assert.equal(await objects.size('none'), undefined)
      assert.equal(await objects.read('none', 100), undefined)
      await failsWith('BLOB_UNKNOWN', objects.open('none'))
      await objects.create('large', randomBytes(101), mediaType)
      await failsWith('STORE_UNAVAILABLE', objects.read('large', 100))
    })
  })
}
