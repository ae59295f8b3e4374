import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'
import { blockSize } from './archive.ts'
import { decompress, describeEach } from './engines-testing.ts'
import { createPacker, MemberGone, type PackedLayer, type Packer, type Piece } from './pack.ts'
import { dir, file, link, make, type Tree } from './testing.ts'

type MemberPiece = Extract<Piece, { readonly member: unknown }>
const trees: readonly Tree[] = [
  dir({ bin: dir({ run: file('#!', 0o755) }), lib: link('bin') }),
  file('x'),
  dir({ text: file(Buffer.alloc(2 * blockSize, 'words that repeat ')), noise: file(randomBytes(blockSize)) }),
  file(Buffer.alloc(blockSize - 512)), // exactly one block
  dir({ noise: file(randomBytes(blockSize + 5)) }),
]

describeEach('the member of a store path', (opened) => {
  let directory: string
  let spool: string
  let packer: Packer
  let paths: readonly Piece[]
  let first: PackedLayer
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'nixery-members-'))
    spool = mkdtempSync(join(directory, 'spool-'))
    packer = createPacker(spool, opened.compressor)
    paths = trees.map((tree, index) => {
      const storePath = join(directory, `path-${index}`) as StorePath
      make(storePath, tree)
      return { storePath }
    })
    first = await packer.pack(paths)
  })
  after(async () => {
    await packer.close()
    rmSync(directory, { recursive: true })
  })

  /** Packs a layer, and removes its file. */
  async function pack(pieces: readonly Piece[]) {
    const packed = await packer.pack(pieces)
    const bytes = readFileSync(packed.file)
    rmSync(packed.file)
    return { ...packed, bytes }
  }
  const memberAt = (index: number): MemberPiece => ({
    member: { file: first.file, ...(first.spans[index] ?? assert.fail()) },
  })

  if (!opened.codec.expand) {
    it('is not reported, and cannot be copied, without checksums', async () => {
      assert.deepEqual(first.spans, [])
      assert.equal(first.layer.digest, first.layer.diffId)
      const piece = { member: { file: first.file, offset: 0, length: 1024 } }
      await assert.rejects(packer.pack([piece]), MemberGone)
    })
    return
  }

  it('gives the same bytes as the store path, in any grouping', async () => {
    const picks = fc.array(fc.tuple(fc.nat(trees.length - 1), fc.boolean()), { maxLength: 7 })
    await fc.assert(
      fc.asyncProperty(picks, async (picked) => {
        const fromPaths = picked.map(([index]) => paths[index] ?? assert.fail())
        const mixed = picked.map(([index, copied]) =>
          copied ? memberAt(index) : (paths[index] ?? assert.fail()),
        )
        const [one, other] = [await pack(fromPaths), await pack(mixed)]
        assert.deepEqual({ ...other.layer, spans: other.spans }, { ...one.layer, spans: one.spans })
        assert.ok(other.bytes.equals(one.bytes))
        assert.equal(other.layer.digest, digestOf(other.bytes))
        assert.equal(other.layer.diffId, digestOf(decompress(opened, other.bytes)))
      }),
      { numRuns: 6 },
    )
  })

  it('can be copied from a copy when the store path no longer exists', async () => {
    const storePath = join(directory, 'collected') as StorePath
    make(storePath, trees[0] ?? assert.fail())
    const once = await packer.pack([{ storePath }])
    rmSync(storePath, { recursive: true })
    const again = await packer.pack([{ member: { file: once.file, ...(once.spans[0] ?? assert.fail()) } }])
    assert.deepEqual(again.layer, once.layer)
    assert.ok(readFileSync(again.file).equals(readFileSync(once.file)))
    for (const packed of [once, again]) rmSync(packed.file)
  })

  /** The member of the third path, which has several blocks, in a blob that was changed. */
  function damaged(change: (bytes: Buffer) => Buffer): MemberPiece {
    const { member } = memberAt(2)
    const blob = join(mkdtempSync(join(directory, 'blob-')), 'blob')
    writeFileSync(blob, change(readFileSync(member.file)))
    return { member: { ...member, file: blob } }
  }
  const shifted = (start: number, end: number): MemberPiece => {
    const { member } = memberAt(2)
    return {
      member: { ...member, offset: member.offset + start, length: member.length - start + end },
    }
  }
  const rows: [what: string, piece: () => MemberPiece][] = [
    ['is gone', () => ({ member: { ...memberAt(2).member, file: join(directory, 'none') } })],
    ['is a folder', () => ({ member: { ...memberAt(2).member, file: directory } })],
    ['is empty', () => damaged(() => Buffer.alloc(0))],
    ['ends before the member', () => damaged((bytes) => bytes.subarray(0, memberAt(2).member.offset))],
    [
      'ends within the member',
      () =>
        damaged((bytes) =>
          bytes.subarray(0, memberAt(2).member.offset + Math.floor(memberAt(2).member.length / 2)),
        ),
    ],
    [
      'has a changed byte',
      () =>
        damaged((bytes) => {
          const at = memberAt(2).member.offset + memberAt(2).member.length - 600_000
          bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
          return bytes
        }),
    ],
    ['has it one byte later', () => shifted(1, 1)],
    ['has it one byte earlier', () => shifted(-1, 0)],
    ['lacks its last byte', () => shifted(0, -1)],
    ['has one byte more', () => shifted(0, 1)],
    ['has only zeros', () => damaged((bytes) => bytes.fill(0))],
  ]
  for (const [what, piece] of rows) {
    it(`is reported as gone, leaving no file, when its blob ${what}`, async () => {
      const earlier = readdirSync(spool)
      const others = [paths[0], paths[3]] as Piece[]
      for (const pieces of [[piece()], [...others, piece()], [piece(), ...others]]) {
        await assert.rejects(packer.pack(pieces), (error) => {
          assert.ok(hasCode(error, 'BUILD_FAILED') && error instanceof MemberGone)
          return true
        })
      }
      assert.deepEqual(readdirSync(spool), earlier)
    })
  }

  it('is not blamed for a missing store path or spool folder', async () => {
    const missing = { storePath: join(directory, 'missing') as StorePath }
    await assert.rejects(packer.pack([memberAt(0), missing]), (error) => !(error instanceof MemberGone))
    const other = createPacker(join(directory, 'none'), opened.compressor, { threads: 1 })
    await assert.rejects(other.pack([memberAt(0)]), (error) => !(error instanceof MemberGone))
    await other.close()
  })

  it('is reported as gone when its blob is truncated later', async () => {
    const piece = damaged((bytes) => bytes)
    await pack([piece])
    truncateSync(piece.member.file, piece.member.offset + 10)
    await assert.rejects(packer.pack([piece]), MemberGone)
  })
})
