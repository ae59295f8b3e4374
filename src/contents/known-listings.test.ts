import assert from 'node:assert/strict'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { tarBlocks } from '../layers/archive.ts'
import { dir, file, make, type Tree } from '../layers/testing.ts'
import { describeListings } from './conformance.ts'
import type { Contents } from './contents.ts'
import { withListings } from './known-listings.ts'
import { openReading, type ReadPath } from './source.ts'
import { localContents } from './testing.ts'

let directory: string
let readPath: ReadPath
before(async () => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'nixery-listed-')))
  readPath = await openReading()
})
after(() => rmSync(directory, { recursive: true }))

/** Contents with known listings of paths on disk, as recorded by packing, that must not read them. */
function knownOf(trees: ReadonlyMap<string, Tree>): { listings: Contents; store: string } {
  const store = mkdtempSync(join(directory, 'store-'))
  const texts = new Map<StorePath, string>()
  const facts: PathFacts[] = []
  for (const [name, tree] of trees) {
    const storePath = `${store}/${name}` as StorePath
    make(storePath, tree)
    const { entries, listing } = readPath({ storePath })
    for (const _block of tarBlocks(entries)) void _block
    texts.set(storePath, listing() ?? assert.fail())
    facts.push({ storePath, narHash: 'x', narSize: 1, references: [] })
  }
  const isKnown = (path: string) => facts.some(({ storePath }) => `${path}/`.startsWith(`${storePath}/`))
  const unlooked: Contents = {
    ...localContents,
    look: (path) => (isKnown(path) ? assert.fail(`looked at ${path}`) : localContents.look(path)),
    list: (path) =>
      localContents.list(path).then((names) => (isKnown(path) ? assert.fail(`listed ${path}`) : names)),
  }
  return { listings: withListings(unlooked, facts, async () => texts), store }
}

describeListings('a store whose listings are known', knownOf)

describe('a store whose listings are known', () => {
  it('is read if a listing is missing or invalid', async () => {
    const store = mkdtempSync(join(directory, 'store-'))
    make(`${store}/a`, dir({ x: file('text') }))
    const storePath = `${store}/a` as StorePath
    const facts = [{ storePath, narHash: 'x', narSize: 1, references: [] }]
    for (const texts of [new Map<StorePath, string>(), new Map([[storePath, 'damaged']])]) {
      const contents = withListings(localContents, facts, async () => texts)
      assert.deepEqual(await contents.list(storePath), ['x'])
      assert.equal((await contents.look(`${storePath}/x`))?.kind, 'file')
      assert.equal(await contents.look(`${storePath}/y`), undefined)
    }
  })
})
