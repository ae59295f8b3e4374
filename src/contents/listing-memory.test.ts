import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { dir, file, type Tree } from '../layers/testing.ts'
import { describeListings } from './conformance.ts'
import type { Listings } from './contents.ts'
import { rememberListings } from './listing-memory.ts'
import { memoryListings } from './testing.ts'

const factsOf = (path: string, narHash: string): PathFacts => ({
  storePath: path as StorePath,
  narHash,
  narSize: 1,
  references: [],
})
const treesAt = (trees: ReadonlyMap<string, Tree>) =>
  new Map([...trees].map(([name, tree]) => [`/nix/store/${name}`, tree]))

describeListings('remembered listings', (trees) => {
  const byPath = treesAt(trees)
  const facts = [...byPath.keys()].map((path) => factsOf(path, path))
  return { listings: rememberListings()(memoryListings(byPath), facts), store: '/nix/store' }
})

describe('remembered listings', () => {
  const trees = treesAt(new Map([['a', dir({ bin: dir({ x: file() }) })]]))
  const counted = (listings: Listings, seen: string[]): Listings => ({
    ...listings,
    look(path) {
      seen.push(path)
      return listings.look(path)
    },
    list(path) {
      seen.push(path)
      return listings.list(path)
    },
  })

  it('are read once for each place, for all images', async () => {
    const seen: string[] = []
    const remember = rememberListings()
    for (let times = 0; times < 3; times += 1) {
      const listings = remember(counted(memoryListings(trees), seen), [factsOf('/nix/store/a', 'sha256:1')])
      assert.equal((await listings.look('/nix/store/a/bin/x'))?.kind, 'file')
      assert.equal(await listings.look('/nix/store/a/bin/y'), undefined)
      assert.deepEqual(await listings.list('/nix/store/a/bin'), ['x'])
    }
    assert.deepEqual(seen, ['/nix/store/a/bin/x', '/nix/store/a/bin/y', '/nix/store/a/bin'])
  })

  it('are read again for a path that was rebuilt with other bytes, and for one outside of the closure', async () => {
    const remember = rememberListings()
    const before = remember(memoryListings(trees), [factsOf('/nix/store/a', 'sha256:1')])
    assert.equal(await before.look('/nix/store/a/new'), undefined)
    const rebuilt = memoryListings(treesAt(new Map([['a', dir({ new: file() })]])))
    assert.equal(
      (await remember(rebuilt, [factsOf('/nix/store/a', 'sha256:2')]).look('/nix/store/a/new'))?.kind,
      'file',
    )
    assert.equal((await remember(rebuilt, []).look('/nix/store/a/new'))?.kind, 'file')
  })

  it('are not cancelled for one image because another one is cancelled', async () => {
    const remember = rememberListings()
    const facts = [factsOf('/nix/store/a', 'sha256:1')]
    const left = Promise.withResolvers<undefined>()
    const leaving = remember({ ...memoryListings(trees), look: () => left.promise }, facts)
    const first = leaving.look('/nix/store/a/bin')
    const second = remember(memoryListings(trees), facts).look('/nix/store/a/bin')
    left.reject(new Error('the client has left'))
    await assert.rejects(first, /has left/)
    assert.equal((await second)?.kind, 'directory')
  })

  it('forget a failure', async () => {
    const remember = rememberListings()
    const facts = [factsOf('/nix/store/a', 'sha256:1')]
    const failing = {
      ...memoryListings(trees),
      look: () => Promise.reject(new Error('EIO')),
      list: () => Promise.reject(new Error('EIO')),
    }
    await assert.rejects(remember(failing, facts).look('/nix/store/a/bin'))
    await assert.rejects(remember(failing, facts).list('/nix/store/a/bin'))
    const listings = remember(memoryListings(trees), facts)
    assert.equal((await listings.look('/nix/store/a/bin'))?.kind, 'directory')
    assert.deepEqual(await listings.list('/nix/store/a/bin'), ['x'])
  })
})
