import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { openSync, closeSync, readSync } from 'node:fs'
import type { Content, Entry } from '../contents/entry.ts'
import { blockSize, tarBlocks, trailer } from './archive.ts'
import { type Member, raw, readWithPython } from './testing.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-blocks-'))
})
after(() => rmSync(directory, { recursive: true }))

/** A file on disk, with a declared size. */
const onDisk = (disk: string, size: number): Content => ({
  size,
  open() {
    const descriptor = openSync(disk, 'r')
    return {
      read: (into) => readSync(descriptor, into, 0, into.length, null),
      close: () => closeSync(descriptor),
    }
  },
})

const tarOf = (entries: Iterable<Entry>): Buffer => Buffer.concat([...tarBlocks(entries), trailer])

const inMemoryFile = (path: string, bytes: Uint8Array): Entry => ({
  kind: 'file',
  path,
  mode: 0o644,
  content: { bytes },
})

/** The member that a reader must find for an entry with its content in memory. */
function memberOf(entry: Entry): Member {
  const member = { path: entry.path, size: 0, target: '', sha256: '' }
  if (entry.kind === 'directory') return { ...member, type: '5', mode: entry.mode }
  if (entry.kind === 'symlink') return { ...member, type: '2', mode: 0o777, target: entry.target }
  const bytes = 'bytes' in entry.content ? entry.content.bytes : assert.fail('content is on disk')
  return { ...member, type: '0', mode: entry.mode, size: bytes.length, sha256: hash('sha256', bytes) }
}

describe('tar blocks', () => {
  for (const size of [0, 1, blockSize - 1024, blockSize - 512, blockSize, 2 * blockSize - 512, 3_000_000]) {
    it(`are full except the last: a file of ${size} bytes`, () => {
      const disk = join(directory, 'file')
      writeFileSync(disk, Buffer.alloc(size, 'x'))
      const contents = [{ bytes: Buffer.alloc(size, 'x') }, onDisk(disk, size)]
      const [fromMemory, fromDisk] = contents.map((content) => [
        ...tarBlocks([{ kind: 'file', path: 'f', mode: 0o444, content }]),
      ])
      assert.ok(fromMemory && fromDisk)
      const total = 512 + Math.ceil(size / 512) * 512
      const full = Math.floor(total / blockSize)
      const rest = total % blockSize
      const expected = [...Array.from({ length: full }, () => blockSize), ...(rest > 0 ? [rest] : [])]
      assert.deepEqual(
        fromMemory.map((block) => block.length),
        expected,
      )
      assert.deepEqual(fromDisk, fromMemory)
    })
  }

  it('are empty without entries', () => {
    assert.deepEqual([...tarBlocks([])], [])
  })

  it('keep names and targets of every length', () => {
    // Below a folder like the store, in parts, and so long that the last part does not fit in a header block.
    const shapes: ((length: number) => string)[] = [
      (length) => `nix/store/${'n'.repeat(length)}`,
      (length) => 'd/'.repeat(length) + 'n',
      (length) => `nix/${'d'.repeat(length)}/n`,
      (length) => `${'nine-long/'.repeat(length / 10)}${'n'.repeat((length % 10) + 1)}`,
    ]
    const entries = shapes.flatMap((shape) =>
      Array.from({ length: 300 }, (_, index) => shape(index + 1)).flatMap((path): Entry[] => [
        { kind: 'directory', path, mode: 0o755 },
        { kind: 'symlink', path, target: path },
        inMemoryFile(path, raw(path)),
      ]),
    )
    assert.deepEqual(readWithPython(tarOf(entries)), entries.map(memberOf))
  })

  for (const size of [2 ** 33 - 1, 2 ** 33, 2 ** 33 + 1, 2 ** 35]) {
    it(`encode the size of a file of ${size} bytes`, () => {
      const disk = join(directory, 'sparse')
      writeFileSync(disk, '')
      truncateSync(disk, size)
      const content = onDisk(disk, size)
      const blocks = tarBlocks([{ kind: 'file', path: 'f', mode: 0o444, content }])
      const { value } = blocks.next()
      blocks.return(undefined)
      const head = Buffer.from(value as Uint8Array).subarray(0, 2048)
      assert.equal(readWithPython(head, 'first')[0]?.size, size)
      // Large sizes are encoded twice: in base 256, which not all readers support, and as a PAX record.
      assert.equal(head.includes(` size=${size}\n`), size >= 2 ** 33)
    })
  }

  it('fail when a file shrinks while it is read', () => {
    const disk = join(directory, 'short')
    writeFileSync(disk, 'four')
    const content = onDisk(disk, 5)
    assert.throws(() => tarOf([{ kind: 'file', path: 'f', mode: 0o444, content }]), /shrank/)
  })

  it('fail when a file grows while it is read', () => {
    const disk = join(directory, 'long')
    writeFileSync(disk, 'longer')
    const content = onDisk(disk, 4)
    assert.throws(() => tarOf([{ kind: 'file', path: 'f', mode: 0o444, content }]), /grew/)
  })

  const part = fc
    .oneof(
      fc.uint8Array({ minLength: 1, maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.integer({ min: 1, max: 255 }).map((length) => 'p'.repeat(length)),
    )
    .filter((text) => !/[/\0]|^\.\.?$/.test(text))
  const path = fc
    .array(part, { minLength: 1, maxLength: 8 })
    .map((parts) => ['nix', 'store', ...parts].join('/'))
  const mode = fc.constantFrom(0o444, 0o555, 0o700, 0o755, 0o1777)
  const entry: fc.Arbitrary<Entry> = fc.oneof(
    fc.record({ kind: fc.constant('directory'), path, mode }),
    fc.record({ kind: fc.constant('symlink'), path, target: path }),
    fc.tuple(path, fc.uint8Array({ maxLength: 2000 })).map((all) => inMemoryFile(...all)),
  )

  it('contain the entries that were encoded', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 80 }), (entries) => {
        const tar = tarOf(entries)
        assert.equal(tar.length % 512, 0)
        assert.deepEqual(readWithPython(tar), entries.map(memberOf))
      }),
      { numRuns: 20 }, // each starts Python,
    )
  })

  it('of two lists of entries can be concatenated', () => {
    fc.assert(
      fc.property(fc.array(fc.array(entry, { maxLength: 5 }), { maxLength: 5 }), (runs) => {
        const together = tarOf(runs.flat())
        const apart = Buffer.concat([...runs.flatMap((entries) => [...tarBlocks(entries)]), trailer])
        assert.ok(apart.equals(together))
      }),
    )
  })
})
