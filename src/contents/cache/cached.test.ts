import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { StorePath } from '../../image/store-path.ts'
import { dir, file, type Tree } from '../../layers/testing.ts'
import { tarBlocks } from '../../layers/archive.ts'
import { describeListings } from '../conformance.ts'
import type { PathSource } from '../contents.ts'
import { parseListing, recordListing } from '../listing.ts'
import { openReading, type ReadPath } from '../source.ts'
import { createBudget } from './budget.ts'
import { cacheContents, type CachedOptions } from './cached.ts'
import { createDownloads } from './fetch.ts'
import type { InCache } from './caches.ts'
import { entriesOf, inCache, narOf, pathOf } from './testing.ts'
import { CacheTrouble } from './trouble.ts'

let spoolDirectory: string
let readPath: ReadPath
before(async () => {
  spoolDirectory = mkdtempSync(join(tmpdir(), 'nixery-cached-'))
  readPath = await openReading()
})
after(() => rmSync(spoolDirectory, { recursive: true }))

/** Reads to the end, like packing. */
async function readListing(source: PathSource): Promise<string | undefined> {
  const { entries, listing } = readPath(source)
  for (const _block of tarBlocks(entries)) void _block
  return listing()
}

function contentsOf(paths: readonly [StorePath, InCache][], options: Partial<CachedOptions> = {}) {
  const room = {
    get spoolDirectory() {
      return spoolDirectory
    },
    budget: createBudget(1e6),
    budgetAhead: createBudget(1e6),
    ahead: new Set<string>(),
    memory: createBudget(0),
    downloads: createDownloads(),
    inThreads: new Set(['xz'] as const),
  }
  return cacheContents(new Map(paths), room, {
    listings: async () => new Map(),
    readListing,
    onBytes() {},
    onDownloaded() {},
    ...options,
  })
}

describeListings('contents from a binary cache', (trees) => {
  const store = '/nix/store'
  const paths = Array.from(trees, ([name, tree]) => inCache(`${store}/${name}`, tree))
  return { listings: contentsOf(paths), store }
})

describe('contents from a binary cache', () => {
  it('are read once for their listing, and not at all if it is stored', async () => {
    const [path, found] = inCache(pathOf('a'), dir({ bin: dir({ run: file('#!/bin/sh', 0o755) }) }))
    const read: string[] = []
    const kept = new Map<StorePath, string>()
    const options: Partial<CachedOptions> = {
      listings: async () => kept,
      async readListing(source) {
        const text = await readListing(source)
        read.push(path)
        if (text !== undefined) kept.set(path, text)
        return text
      },
    }
    for (const contents of [contentsOf([[path, found]], options), contentsOf([[path, found]], options)]) {
      const looked = await Promise.all(
        ['/bin/run', '/bin', '/none'].map((below) => contents.look(path + below)),
      )
      assert.deepEqual(looked, [{ kind: 'file', program: 'script' }, { kind: 'directory' }, undefined])
    }
    assert.deepEqual(read, [path])
    assert.deepEqual(readdirSync(spoolDirectory), [])
  })

  it('need not be looked up when they have just been read by others', async () => {
    const [path, found] = inCache(pathOf('l'), dir({ bin: dir({}) }))
    const { entries, text } = recordListing(entriesOf(narOf(dir({ bin: dir({}) })), path))
    for (const entry of entries) void entry
    let calls = 0
    const contents = contentsOf([[path, found]], {
      listings: async () => new Map(void (calls += 1)),
      readListing: () => assert.fail('it has been read'),
    })
    contents.learn?.(path, text() ?? assert.fail('it is not large'))
    assert.deepEqual(await contents.list(path), ['bin'])
    assert.equal(calls, 0)
  })

  it('provide no listing of a path whose bytes do not match the signature', async () => {
    const lie = (nar: Buffer) => Buffer.from(nar.toString('latin1').replace('good', 'evil'), 'latin1')
    const contents = contentsOf([inCache(pathOf('b'), dir({ x: file('good') }), lie)])
    await assert.rejects(contents.look(`${pathOf('b')}/x`), /hash/)
    assert.deepEqual(readdirSync(spoolDirectory), [])
  })

  it('are limited by the size of the NAR, whatever unsigned file size a narinfo contains', async () => {
    const [path, found] = inCache(pathOf('e'), file('x'), () => Buffer.alloc(2_000_000))
    const lying = { ...found, compression: 'xz', narinfo: { ...found.narinfo, fileSize: 1e15 } } as const
    await assert.rejects(contentsOf([[path, lying]]).open([path], {}), /file is larger/)
    assert.deepEqual(readdirSync(spoolDirectory), [])
  })

  it('leave no file behind when one of several downloads fails', async () => {
    const broken = inCache(pathOf('d'), file('x'), () => {
      throw new CacheTrouble('it is gone')
    })
    const contents = contentsOf([inCache(pathOf('c'), file('x')), broken])
    await assert.rejects(
      contents.open([pathOf('c'), pathOf('d')], {}),
      /here did not deliver .*-d: it is gone/,
    )
    assert.deepEqual(readdirSync(spoolDirectory), [])
    const { sources, close } = await contents.open([pathOf('c')], {})
    assert.equal(sources.length, 1)
    await close()
    assert.deepEqual(readdirSync(spoolDirectory), [])
  })
})

describe('a listing', () => {
  it('contains the files that packages have for other packages', () => {
    const tree = dir({
      'nix-support': dir({
        'propagated-build-inputs': file(' /nix/store/x \xff', 0o644),
        other: file('text'),
      }),
      'propagated-build-inputs': file('elsewhere'),
    })
    const { entries, text } = recordListing(entriesOf(narOf(tree), pathOf('a')))
    for (const _block of tarBlocks(entries)) void _block
    const listing = parseListing(text() ?? assert.fail())
    assert.equal(
      listing?.text('/nix-support/propagated-build-inputs'),
      Buffer.from(' /nix/store/x \xff').toString('latin1'),
    )
    assert.equal(listing?.text('/nix-support/other'), undefined)
    assert.equal(listing?.text('/propagated-build-inputs'), undefined)
  })

  it('is missing for a path with too many names, which is read nevertheless', () => {
    const many = dir(Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`n${index}`, dir()])))
    const textOf = (largest: number) => {
      const { entries, text } = recordListing(entriesOf(narOf(many), pathOf('a')), largest)
      assert.equal([...entries].length, 101)
      return text()
    }
    assert.equal(textOf(500), undefined)
    assert.notEqual(textOf(5000), undefined)
  })

  it('collects no more texts than it can contain', () => {
    const texts = Array.from({ length: 20 }, (_, index): [string, Tree] => [
      `propagated-${String(index).padStart(2, '0')}`,
      file(Buffer.alloc(1000, 'x')),
    ])
    const tree = dir({ 'nix-support': dir(Object.fromEntries(texts)) })
    const originals = new Map<string, object>()
    const noted = function* () {
      for (const entry of entriesOf(narOf(tree), pathOf('a'))) {
        if (entry.kind === 'file') originals.set(entry.path, entry.content)
        yield entry
      }
    }
    const { entries, text } = recordListing(noted(), 5000)
    const collected = [...entries].filter(
      (entry) => entry.kind === 'file' && originals.get(entry.path) !== entry.content,
    )
    assert.equal(collected.length, 4)
    assert.equal(text(), undefined)
  })

  it('that cannot be read is ignored', () => {
    for (const text of ['', 'nonsense', Buffer.from('{}').toString('base64')])
      assert.equal(parseListing(text), undefined)
  })
})
