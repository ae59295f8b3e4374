import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { StorePath } from '../../image/store-path.ts'
import { dir, file, link, make, type Tree } from '../../layers/testing.ts'
import { formatNarinfo, parseNarinfo } from './narinfo.ts'
import { narBytes } from './nar-writer.ts'
import { createSigner, narOf, pathOf } from './testing.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-nar-writer-'))
})
after(() => rmSync(directory, { recursive: true }))

const nested = (depth: number): Tree => (depth === 0 ? file() : dir({ d: nested(depth - 1) }))

describe('narBytes', () => {
  const names = Object.fromEntries(
    ['a', 'A', 'a b', '-', '\xff\xfe', 'é', 'n'.repeat(255), 'a-', 'a.b'].map((name) => [name, file(name)]),
  )
  const trees: [what: string, tree: Tree][] = [
    ['a file', file('text')],
    ['an empty file', file('')],
    ['a program', file('#!/bin/sh', 0o555)],
    ['a link', link('../somewhere\xff')],
    ['an empty directory', dir({})],
    ['names of all kinds', dir(names)],
    ['many levels', nested(60)],
    ['large files', dir({ large: file(Buffer.alloc(2_500_001, 'abc')), next: file('x'), z: dir(names) })],
  ]
  for (const [index, [what, tree]] of trees.entries()) {
    it(`writes the NAR of ${what}`, async () => {
      const path = join(directory, String(index)) as StorePath
      make(path, tree, 'reverse')
      const pieces: Buffer[] = []
      for await (const piece of narBytes(path)) pieces.push(piece)
      assert.ok(Buffer.concat(pieces).equals(narOf(tree)))
    })
  }
})

describe('formatNarinfo', () => {
  it('writes what it was read from', () => {
    const nar = Buffer.from('nar')
    for (const references of [[], [pathOf('a'), pathOf('b')]]) {
      for (const fileFacts of [true, false]) {
        const text = createSigner('key').narinfo(pathOf('x'), nar, { references, fileFacts })
        const narinfo = parseNarinfo(text)
        assert.ok(!('invalid' in narinfo))
        assert.equal(formatNarinfo(narinfo), text)
      }
    }
  })
})
