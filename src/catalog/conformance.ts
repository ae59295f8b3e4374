import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { Layer } from '../image/oci.ts'
import { parseStorePath, type PathFacts } from '../image/store-path.ts'
import type { Catalog } from './catalog.ts'

/** What every catalog keeps; a new database runs this suite. `open` gives an empty one each time. */
export function describeCatalog(name: string, open: () => Promise<Catalog>): void {
  const path = (index: number) => parseStorePath(`/nix/store/${String(index).padStart(32, '0')}-p${index}`)
  const facts = (index: number): PathFacts => ({
    storePath: path(index),
    narHash: `sha256-${index}`,
    narSize: 2 ** 40 + index,
    references: index > 0 ? [path(index - 1)] : [],
  })
  const layer = (text: string): Layer => ({
    digest: digestOf(text),
    diffId: digestOf(`${text} uncompressed`),
    size: 2 ** 33,
    compression: 'gzip',
  })

  describe(`${name} as a catalog`, () => {
    it('knows nothing at first', async () => {
      const catalog = await open()
      assert.deepEqual(await catalog.resolutions(['a']), new Map())
      assert.deepEqual(await catalog.pathFacts([path(1)]), new Map())
      assert.equal(await catalog.layer('a'), undefined)
      assert.equal(await catalog.image('a'), undefined)
      assert.equal(await catalog.blobSize(digestOf('a')), undefined)
      await catalog.close()
    })

    it('remembers resolutions and images, the newest word of each', async () => {
      const catalog = await open()
      await catalog.rememberResolutions(
        new Map([
          ['a', '1'],
          ['b', '2'],
        ]),
      )
      await catalog.rememberResolutions(new Map([['b', '3']]))
      assert.deepEqual(
        await catalog.resolutions(['a', 'b', 'c']),
        new Map([
          ['a', '1'],
          ['b', '3'],
        ]),
      )
      await catalog.rememberImage('a', 'x')
      await catalog.rememberImage('a', 'y')
      assert.equal(await catalog.image('a'), 'y')
      await catalog.close()
    })

    it('remembers the facts of more paths than one statement takes', async () => {
      const catalog = await open()
      const all = Array.from({ length: 12_000 }, (_, index) => facts(index))
      await catalog.rememberPathFacts(all)
      await catalog.rememberPathFacts([{ ...facts(7), narHash: 'sha256-rebuilt' }])
      const found = await catalog.pathFacts([...all.map((one) => one.storePath), path(99_999)])
      assert.equal(found.size, 12_000)
      assert.deepEqual(found.get(path(8)), facts(8))
      assert.equal(found.get(path(7))?.narHash, 'sha256-rebuilt')
      await catalog.close()
    })

    it('forgets the layers of a blob that is gone', async () => {
      const catalog = await open()
      const members = [{ key: 'm', digest: digestOf('one'), offset: 0, length: 10 }]
      await catalog.rememberLayer('one', layer('one'), members)
      await catalog.rememberLayer('two', layer('two'), [])
      await catalog.rememberBlob(digestOf('one'), 2 ** 33)
      assert.deepEqual(await catalog.layer('one'), layer('one'))
      assert.equal(await catalog.blobSize(digestOf('one')), 2 ** 33)
      await catalog.forgetBlob(digestOf('one'))
      assert.equal(await catalog.layer('one'), undefined)
      assert.equal(await catalog.blobSize(digestOf('one')), undefined)
      assert.deepEqual(await catalog.layer('two'), layer('two'))
      await catalog.close()
    })
  })
}
