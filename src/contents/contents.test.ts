import assert from 'node:assert/strict'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { dir, file, link, make, raw, type Tree } from '../layers/testing.ts'
import { describeListings } from './conformance.ts'
import { followLinks } from './follow-links.ts'
import { localContents, memoryListings } from './testing.ts'

let directory: string
before(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'nixery-contents-')))
})
after(() => rmSync(directory, { recursive: true }))

/** Creates trees on disk, in a folder that represents the store. */
function onDisk(trees: ReadonlyMap<string, Tree>): string {
  const store = mkdtempSync(join(directory, 'store-'))
  for (const [name, tree] of trees) make(`${store}/${name}`, tree)
  return store
}

describeListings('the local store', (trees) => ({ listings: localContents, store: onDisk(trees) }))
describeListings('contents in memory', (trees) => {
  const store = '/nix/store'
  const byPath = new Map([...trees].map(([name, tree]) => [`${store}/${name}`, tree]))
  return { listings: memoryListings(byPath), store }
})

describe('followLinks', () => {
  /** The system's own result on this machine; undefined outside of the store. */
  function systemFollows(path: string, store: string): string | undefined {
    try {
      const real = realpathSync.native(raw(path), { encoding: 'latin1' })
      return real.startsWith(`${store}/`) ? real : undefined
    } catch {
      return undefined
    }
  }
  const names = ['a', 'b', '\xff']
  const part = fc.constantFrom(...names, '..', '.', '', 'p', 'q')
  const relative = fc.array(part, { minLength: 1, maxLength: 7 }).map((parts) => parts.join('/'))
  const target = fc
    .oneof(
      relative,
      relative.map((path) => `STORE/${path}`),
    )
    .filter((path) => path !== '')
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.constant(file('x')),
      target.map(link),
      fc.dictionary(fc.constantFrom(...names), tie('tree'), { maxKeys: 3 }).map((children) => dir(children)),
    ),
  }))
  /** Links below the store's own folder, which is written as `STORE`. */
  const placed = (any: Tree, store: string): Tree => {
    if ('target' in any) return link(any.target.replace('STORE', store))
    if (!('children' in any)) return any
    return { children: any.children.map(([name, child]) => [name, placed(child, store)]) }
  }

  it('returns the same as the system, on disk and in memory', async () => {
    await fc.assert(
      fc.asyncProperty(tree, tree, fc.array(relative, { maxLength: 6 }), async (p, q, paths) => {
        const store = mkdtempSync(join(directory, 'store-'))
        const trees = new Map([
          [`${store}/p`, placed(p, store)],
          [`${store}/q`, placed(q, store)],
        ])
        for (const [path, any] of trees) make(path, any)
        for (const path of ['p', 'q', ...paths].map((one) => `${store}/${one}`)) {
          const expected = systemFollows(path, store)
          for (const listings of [localContents, memoryListings(trees)]) {
            assert.equal((await followLinks(listings, path, store))?.path, expected, path)
          }
        }
        rmSync(store, { recursive: true })
      }),
      { numRuns: 150 },
    )
  })

  it('follows links only inside the store’s folder', async () => {
    const store = onDisk(new Map([['p', dir({ bin: dir({ sh: file() }) })]]))
    make(join(directory, 'profile'), link(`${store}/p`))
    make(`${store}/q`, dir({ out: link('../../profile/bin/sh'), in: link(`../../..${store}/p/bin`) }))
    assert.equal(await followLinks(localContents, `${store}/q/out`, store), undefined)
    assert.equal(await followLinks(localContents, store, store), undefined)
  })

  it('terminates for endless links', async () => {
    const chain = Array.from({ length: 60 }, (_, index) => [`l${index}`, link(`l${index + 1}`)])
    const long = dir({ ...(Object.fromEntries(chain) as Record<string, Tree>), l60: file() })
    const listings = memoryListings(new Map([['/nix/store/p', long]]))
    assert.equal((await followLinks(listings, '/nix/store/p/l20', '/nix/store'))?.path, '/nix/store/p/l60')
    assert.equal(await followLinks(listings, '/nix/store/p/l19', '/nix/store'), undefined)
  })
})
