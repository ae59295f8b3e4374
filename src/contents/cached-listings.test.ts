import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { dir, file, link } from '../layers/testing.ts'
import { followLinks } from './follow-links.ts'
import { cachedListings } from './cached-listings.ts'
import { memoryListings } from './testing.ts'

const store = '/nix/store'

function counted() {
  const tree = dir({ bin: dir({ sh: file('#!/bin/x') }), lib: link('bin'), empty: dir() })
  const all = memoryListings(new Map([[`${store}/p`, tree]]))
  const looks: string[] = []
  const lists: string[] = []
  const listings = cachedListings({
    ...all,
    look(path) {
      looks.push(path.slice(store.length))
      return all.look(path)
    },
    list(path) {
      lists.push(path.slice(store.length))
      return all.list(path)
    },
  })
  return { listings, looks, lists }
}

describe('once', () => {
  it('lists a directory once instead of looking up many names in it', async () => {
    const { listings, looks, lists } = counted()
    const found = []
    for (const name of ['none', 'etc/x', 'share', 'bin/sh', 'lib/sh', 'bin/env', 'bin/perl', 'empty/x'])
      found.push((await followLinks(listings, `${store}/p/${name}`, store))?.path.slice(store.length))
    const sh = '/p/bin/sh'
    assert.deepEqual(found, [undefined, undefined, undefined, sh, sh, undefined, undefined, undefined])
    assert.deepEqual(looks, ['/p', '/p/none', '/p/bin', '/p/bin/sh', '/p/lib', '/p/empty', '/p/empty/x'])
    assert.deepEqual(lists, ['/p', '/p/bin'])
  })

  it('returns a separate list to each caller', async () => {
    const { listings } = counted()
    const names = await listings.list(`${store}/p`)
    names.length = 0
    assert.deepEqual((await listings.list(`${store}/p`)).toSorted(), ['bin', 'empty', 'lib'])
  })
})
