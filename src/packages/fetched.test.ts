import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { createFetchedSources, type Fetch } from './fetched.ts'

const day = 24 * 3_600_000
let parent: string
/** Paths that are in the Nix store. */
let paths: StorePath[]
before(async () => {
  parent = await mkdtemp(join(tmpdir(), 'nixery-fetched-'))
  const names = ['one', 'two', 'three'].map((name) => join(parent, name))
  for (const name of names) await mkdir(name)
  const added = await Promise.all(names.map((name) => execa('nix-store', ['--add', name])))
  paths = added.map(({ stdout }) => parseStorePath(stdout.trim()))
})
after(() => rm(parent, { recursive: true, force: true }))

let count = 0
function newSources(directory = join(parent, `roots-${(count += 1)}`), days = 0) {
  let now = Date.now() + days * day
  const sources = createFetchedSources({ directory, keep: 14 * day, warn: assert.fail, clock: () => now })
  let fetched = 0
  const fetch =
    (at: number): Fetch =>
    async (rootOf) => {
      fetched += 1
      const path = paths[at]
      assert.ok(path)
      await mkdir(dirname(rootOf(path)), { recursive: true })
      await rm(rootOf(path), { force: true })
      await symlink(path, rootOf(path))
      return path
    }
  const pass = (passed: number) => (now += passed * day)
  const roots = async () => (await readdir(directory)).length
  return { sources, directory, fetch, fetched: () => fetched, pass, roots }
}

describe('fetched sources', () => {
  it('that never change are fetched once, and found again after a restart if they still exist', async () => {
    const { sources, directory, fetch, fetched } = newSources()
    const all = await Promise.all([sources.fixed('a', fetch(0)), sources.fixed('a', fetch(0))])
    assert.deepEqual(all, [paths[0], paths[0]])
    const again = newSources(directory)
    assert.equal(await again.sources.fixed('a', again.fetch(0)), paths[0])
    assert.equal(fetched() + again.fetched(), 1)

    // The data folder may outlive the Nix store.
    const [name = ''] = await readdir(directory)
    await rm(join(directory, name))
    await symlink(`/nix/store/${'0'.repeat(32)}-gone`, join(directory, name))
    const later = newSources(directory)
    assert.equal(await later.sources.fixed('a', later.fetch(0)), paths[0])
    assert.equal(later.fetched(), 1)
  })

  it('are released when they have not been used for a while, except that of `latest`', async () => {
    const { sources, directory, fetch, pass, roots } = newSources()
    await sources.fixed('a', fetch(0))
    const current = await sources.moving('channel', fetch(1))
    sources.current('channel', [current])
    pass(13)
    await sources.expire()
    assert.equal(await roots(), 2)
    pass(2)
    await sources.expire()
    assert.equal(await roots(), 1)

    await sources.fixed('a', fetch(0)) // fetched again, and so used
    await sources.expire()
    assert.equal(await roots(), 2)
    const later = newSources(directory, 15 + 15)
    await later.sources.fixed('a', later.fetch(0))
    await later.sources.expire()
    assert.equal(await later.roots(), 1)
    assert.equal(later.fetched(), 0)
  })

  it('of a moving name keep its previous meaning, which may be in use', async () => {
    const { sources, fetch, roots } = newSources()
    assert.equal(await sources.moving('channel', fetch(1)), paths[1])
    assert.equal(await sources.moving('channel', fetch(2)), paths[2])
    assert.equal(await roots(), 2)
  })
})
