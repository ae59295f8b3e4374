import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { StorePath } from '../../image/store-path.ts'
import { tarBlocks } from '../../layers/archive.ts'
import { dir, file, link, make, type Tree } from '../../layers/testing.ts'
import type { Entry } from '../entry.ts'
import { storePathEntries } from '../local-entries.ts'
import { narEntries } from './nar.ts'
import { entriesOf, narOf, pathOf, reader, sri, strings } from './testing.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-nar-'))
})
after(() => rmSync(directory, { recursive: true }))

const tarOf = (entries: Iterable<Entry>): Buffer => Buffer.concat([...tarBlocks(entries)])
const path = pathOf('package')
/** Reads a NAR with the right hash and size, like packing. */
const read = (nar: Uint8Array): Buffer => tarOf(entriesOf(nar, path))

const name = fc.oneof(
  fc.constantFrom('a', 'A', 'a b', '-', '\xff\xfe', 'lib', 'bin', '__proto__', 'n'.repeat(255)),
  fc.stringMatching(/^[\x01-.0-\xff]{1,20}$/).filter((one) => one !== '.' && one !== '..'),
)
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    fc.uint8Array({ maxLength: 600 }).map((bytes) => file(bytes)),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => file(bytes, 0o755)),
    fc.stringMatching(/^[\x01-\xff]{1,200}$/).map(link),
    fc.dictionary(name, tie('tree'), { maxKeys: 5 }).map((children) => dir(children)),
  ),
}))
const nested = (depth: number): Tree => (depth === 0 ? file() : dir({ d: nested(depth - 1) }))
const big = dir({ noise: file(Buffer.alloc(300_000, 'abc')), z: file(Buffer.alloc(70_000)) })

describe('a NAR', () => {
  it('results in the same tar as its store path, for any chunk size', () => {
    let count = 0
    const one = (any: Tree, most: number) => {
      const onDisk = join(directory, `p${(count += 1)}`) as StorePath
      make(onDisk, any, 'reverse')
      const expected = tarOf(storePathEntries(onDisk))
      assert.ok(tarOf(entriesOf(narOf(any), onDisk, most)).equals(expected))
    }
    fc.assert(fc.property(tree, fc.integer({ min: 1, max: 900 }), one), { numRuns: 150 })
    for (const any of [big, nested(60), file('x'), link('x')]) one(any, 5000)
  })

  it('can be read without the bytes of its files', () => {
    const kinds = Array.from(entriesOf(narOf(big), path), ({ kind }) => kind)
    assert.deepEqual(kinds, ['directory', 'file', 'file'])
  })

  const start = strings('nix-archive-1')
  const nar = (...parts: Buffer[]) => Buffer.concat([start, ...parts])
  const folder = (...parts: Buffer[]) => nar(strings('(', 'type', 'directory'), ...parts, strings(')'))
  const empty = strings('(', 'type', 'regular', 'contents', '', ')')
  const entry = (of: string, node = empty) =>
    Buffer.concat([strings('entry', '(', 'name', of, 'node'), node, strings(')')])
  const long = (bytes: bigint) => {
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(bytes)
    return length
  }
  const paddedWrong = narOf(file('x'))
  paddedWrong[paddedWrong.lastIndexOf('x') + 1] = 1
  const refused: [what: string, nar: Buffer, reason: RegExp][] = [
    ['nothing at all', Buffer.alloc(0), /ends too early/],
    ['another format', narOf(file()).fill('2', 20, 21), /lacks "nix-archive-1"/],
    ['names out of order', folder(entry('b'), entry('a')), /out of order/],
    ['a name twice', folder(entry('a'), entry('a')), /out of order/],
    ['an empty name', folder(entry('')), /invalid name/],
    ['the name .', folder(entry('.')), /invalid name/],
    ['the name ..', folder(entry('..')), /invalid name/],
    ['a name with a slash', folder(entry('a/b')), /invalid name/],
    ['a name with a NUL', folder(entry('a\0')), /invalid name/],
    ['a name that is too long', folder(entry('a'.repeat(256))), /too long/],
    ['an empty link', nar(strings('(', 'type', 'symlink', 'target', '', ')')), /invalid link/],
    ['a link with a NUL', nar(strings('(', 'type', 'symlink', 'target', 'a\0b', ')')), /invalid link/],
    ['a link that is too long', narOf(link('a'.repeat(4096))), /too long/],
    ['a file without contents', nar(strings('(', 'type', 'regular', ')')), /no contents/],
    ['an unknown type', nar(strings('(', 'type', 'device', ')')), /unknown type/],
    ['an unknown word', folder(strings('thing')), /unknown word/],
    ['a word that is too long', folder(strings('x'.repeat(33))), /too long/],
    ['folders that are too deep', narOf(nested(64)), /more than 64 deep/],
    ['padding that is not zero', paddedWrong, /padding/],
    ['bytes after its end', Buffer.concat([narOf(file('x')), Buffer.alloc(8)]), /after its end/],
    ['an excessive length', nar(strings('(', 'type', 'regular', 'contents'), long(2n ** 53n)), /excessive/],
    [
      'a negative length',
      nar(strings('(', 'type', 'regular', 'contents'), long(2n ** 64n - 1n)),
      /excessive/,
    ],
    ['a sparse file', nar(strings('(', 'type', 'regular', 'contents'), long(2n ** 50n)), /too early/],
    ['an executable marker with a text', nar(strings('(', 'type', 'regular', 'executable', 'x')), /lacks ""/],
  ]
  for (const [what, bytes, reason] of refused)
    it(`with ${what} is refused`, () => assert.throws(() => read(bytes), reason))

  it('with bytes after its end is refused, even if they arrive later', () => {
    const one = narOf(file('x'))
    const later = Buffer.concat([one, Buffer.alloc(8)])
    assert.throws(() => tarOf(entriesOf(later, path, one.length)), /after its end/)
  })

  it('with the longest link, the deepest folders or thousands of names is read', () => {
    const many = dir(Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`n${index}`, file()])))
    for (const any of [link('a'.repeat(4095)), nested(63), many]) assert.ok(read(narOf(any)).length > 0)
  })

  it('with too many names is refused before the rest of it is read', () => {
    const names = Array.from({ length: 100 }, (_, index) => entry(`n${String(index).padStart(3, '0')}`))
    const bytes = folder(...names)
    const facts = { storePath: path, narHash: sri(bytes), narSize: bytes.length }
    assert.equal([...narEntries(reader(bytes), facts, 101)].length, 101)
    const kinds: string[] = []
    assert.throws(() => {
      for (const { kind } of narEntries(reader(bytes), facts, 100)) kinds.push(kind)
    }, /a NAR has more than 100 entries/)
    assert.equal(kinds.length, 100)
  })

  it('with another size or hash is refused', () => {
    const bytes = narOf(big)
    const facts = { storePath: path, narHash: sri(bytes), narSize: bytes.length }
    for (const [wrong, reason] of [
      [{ narSize: bytes.length - 1 }, /is larger/],
      [{ narSize: bytes.length + 1 }, /is smaller/],
      [{ narHash: sri(start) }, /the hash/],
    ] as const) {
      assert.throws(() => tarOf(narEntries(reader(bytes), { ...facts, ...wrong })), reason)
    }
  })

  it('is refused if any byte is changed, or if it is truncated', () => {
    const whole = narOf(dir({ a: file('text', 0o755), b: link('a'), c: dir({ d: file('x') }) }))
    const facts = { storePath: path, narHash: sri(whole), narSize: whole.length }
    const position = fc.nat(whole.length - 1)
    fc.assert(
      fc.property(position, fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Buffer.from(whole)
        damaged[at] = (damaged[at] ?? 0) ^ flip
        assert.throws(() => tarOf(narEntries(reader(damaged), facts)))
        assert.throws(() => tarOf(narEntries(reader(whole.subarray(0, at)), facts)))
      }),
    )
  })
})
