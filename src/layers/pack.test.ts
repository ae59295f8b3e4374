import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Entry } from '../contents/entry.ts'
import { storePathEntries } from '../contents/local-entries.ts'
import { blockSize, tarBlocks, trailer } from './archive.ts'
import { openCompressor, type Compressor } from './compressor.ts'
import { createPacker, type Packer, type Piece } from './pack.ts'
import { dir, file, link, make, readWithPython, type Tree } from './testing.ts'

let directory: string
const freshFolder = () => mkdtempSync(join(directory, 'd-'))
let packer: Packer
let spool: string
let compressor: Compressor
before(async () => {
  compressor = await openCompressor('gzip', assert.fail)
  directory = mkdtempSync(join(tmpdir(), 'nixery-pack-'))
  spool = freshFolder()
  packer = createPacker(spool, compressor)
})
after(async () => {
  await packer.close()
  rmSync(directory, { recursive: true })
})

const stored = (tree: Tree): Piece => {
  const storePath = join(freshFolder(), 'package') as StorePath
  make(storePath, tree)
  return { storePath }
}
const generated = (path: string, bytes: Uint8Array): Piece => ({
  entries: [{ kind: 'file', path, mode: 0o644, content: { bytes } }],
})
const entriesOf = (piece: Piece): Iterable<Entry> =>
  'storePath' in piece
    ? storePathEntries(piece.storePath)
    : 'entries' in piece
      ? piece.entries
      : assert.fail('a member has no entries')
const tarOf = (piece: Piece): Buffer => Buffer.concat([...tarBlocks(entriesOf(piece))])

/** Packs a layer, verifies everything that is reported about it, and removes the file. */
async function packAndVerify(pieces: readonly Piece[]): Promise<string> {
  const { layer, file: spooled, spans } = await packer.pack(pieces)
  const bytes = readFileSync(spooled)
  rmSync(spooled)
  const tar = gunzipSync(bytes)
  assert.deepEqual(layer, {
    digest: digestOf(bytes),
    diffId: digestOf(tar),
    size: bytes.length,
    compression: 'gzip',
  })
  const tars = pieces.map(tarOf)
  assert.ok(tar.equals(Buffer.concat([...tars, trailer])))

  assert.equal(spans.length, pieces.length)
  let end = 0
  for (const [index, { offset, length }] of spans.entries()) {
    if (length === 0) assert.equal(tars[index]?.length, 0)
    else {
      assert.equal(offset, end)
      end += length
      assert.ok(gunzipSync(bytes.subarray(offset, end)).equals(tars[index] ?? assert.fail()))
    }
  }
  assert.ok(gunzipSync(bytes.subarray(end)).equals(trailer))
  return layer.digest
}

describe('a packed layer', () => {
  const small = () => stored(dir({ bin: dir({ run: file('#!', 0o755) }), lib: link('bin') }))
  const rows: [what: string, pieces: () => readonly Piece[]][] = [
    ['of one path', () => [small()]],
    ['of a path that is a file and one that is a link', () => [stored(file('x')), stored(link('/x'))]],
    ['of many paths', () => Array.from({ length: 40 }, (_, i) => stored(dir({ f: file(`${i}`) })))],
    ['of generated entries', () => [generated('etc/passwd', Buffer.from('root'))]],
    ['of paths and generated entries', () => [small(), generated('x', randomBytes(10)), small()]],
    ['without pieces', () => []],
    ['of empty pieces', () => [{ entries: [] }, small(), { entries: [] }]],
    [
      'of several blocks',
      () => [small(), stored(dir({ zero: file(Buffer.alloc(5 * blockSize)), text: file('x') })), small()],
    ],
    [
      'of incompressible files',
      () => [stored(file(randomBytes(6 * blockSize + 7))), stored(file(randomBytes(blockSize)))],
    ],
    [
      'whose pieces end with full blocks',
      () => [1, 2, 3].map(() => stored(file(Buffer.alloc(blockSize - 512)))),
    ],
  ]
  for (const [what, pieces] of rows) {
    it(`has the reported digests, size and spans: ${what}`, async () => {
      await packAndVerify(pieces())
      assert.deepEqual(readdirSync(spool), [])
    })
  }

  it('is one archive for tarfile', async () => {
    const { file: spooled } = await packer.pack([
      generated('a', randomBytes(3e6)),
      generated('b', randomBytes(3)),
    ])
    const tar = gunzipSync(readFileSync(spooled))
    rmSync(spooled)
    assert.deepEqual(
      readWithPython(tar).map(({ path, size }) => [path, size]),
      [
        ['a', 3e6],
        ['b', 3],
      ],
    )
  })

  it('depends on the order of its pieces', async () => {
    const pieces = [generated('a', Buffer.from('1')), generated('b', Buffer.from('2'))]
    assert.notEqual(await packAndVerify(pieces), await packAndVerify(pieces.toReversed()))
  })
})

describe('a packer', () => {
  const layers = () =>
    Array.from({ length: 8 }, (_, i) => [
      stored(dir({ big: file(Buffer.alloc((i + 1) * 600_000, `layer ${i}`)) })),
      stored(dir({ noise: file(randomBytes(300_000 * i)) })),
    ])

  it('produces the same bytes for eight concurrent layers as one by one', async () => {
    const all = layers()
    const atOnce = await Promise.all(all.map(packAndVerify))
    assert.equal(new Set(atOnce).size, 8)
    for (const [index, pieces] of all.entries()) assert.equal(await packAndVerify(pieces), atOnce[index])
  })

  it('gives the same bytes in every process', async () => {
    const all = layers()
    const inThisProcess = await Promise.all(all.map(packAndVerify))
    const script = `
      import { openCompressor } from ${JSON.stringify(new URL('compressor.ts', import.meta.url).href)}
      import { createPacker } from ${JSON.stringify(new URL('pack.ts', import.meta.url).href)}
      const packer = createPacker(process.argv[1], await openCompressor('gzip', console.error))
      const digests = []
      for (const pieces of JSON.parse(process.argv[2])) digests.push((await packer.pack(pieces)).layer.digest)
      console.log(JSON.stringify(digests))
      await packer.close()`
    const args = ['--input-type=module', '-e', script, freshFolder(), JSON.stringify(all.toReversed())]
    const output = execFileSync(process.execPath, args).toString()
    assert.deepEqual((JSON.parse(output) as string[]).toReversed(), inThisProcess)
  })

  it('refuses names that runtimes treat as deletions, with the path, and leaves no file', async () => {
    const names = ['.wh.keep', '.wh..wh..opq', '.wh.']
    for (const name of names) {
      const piece = stored(dir({ data: dir({ [name]: file(), keep: file() }) }))
      await assert.rejects(
        packer.pack([stored(dir()), piece]),
        (error) =>
          hasCode(error, 'PACKAGE_INVALID') &&
          error.message.endsWith(`/package/data/${name}"`) &&
          !!error.hint,
      )
    }
    const link_ = { kind: 'symlink', path: 'etc/.wh.x', target: 'y' } as const
    await assert.rejects(packer.pack([{ entries: [link_] }]), (error) => hasCode(error, 'PACKAGE_INVALID'))
    await packAndVerify([stored(dir({ '.wh': file(), 'a.wh.b': file(), wh: dir({ '.whx': file() }) }))])
    assert.deepEqual(readdirSync(spool), [])
  })

  it('fails for a missing store path, and leaves no file', async () => {
    const missing = { storePath: join(directory, 'missing') as StorePath }
    for (const pieces of [[missing], [stored(file(randomBytes(4 * blockSize))), missing]]) {
      await assert.rejects(packer.pack(pieces), (error) => hasCode(error, 'BUILD_FAILED'))
      assert.deepEqual(readdirSync(spool), [])
    }
    await packAndVerify([stored(file('the pool continues'))])
  })

  for (const [what, folder] of [
    ['missing', () => join(directory, 'none')],
    [
      'a file',
      () => {
        writeFileSync(join(directory, 'plain'), '')
        return join(directory, 'plain')
      },
    ],
  ] as const) {
    it(`fails when its folder is ${what}`, async () => {
      const other = createPacker(folder(), compressor)
      try {
        const packing = other.pack([stored(file('x'))])
        await assert.rejects(packing, (error) => hasCode(error, 'STORE_UNAVAILABLE'))
      } finally {
        await other.close()
      }
    })
  }

  it('fails with STORE_FULL on a full disk, and leaves no file', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can mount a small disk')
    const disk = freshFolder()
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' })
    } catch (error) {
      return t.skip(`cannot mount a small disk: ${String(error)}`)
    }
    const other = createPacker(disk, compressor)
    try {
      const packing = other.pack([stored(file(randomBytes(4 * blockSize)))])
      await assert.rejects(packing, (error) => hasCode(error, 'STORE_FULL'))
      assert.deepEqual(readdirSync(disk), [])
      const { layer } = await other.pack([stored(file('there is space again'))])
      assert.ok(layer.size > 0)
    } finally {
      await other.close()
      execFileSync('umount', [disk])
    }
  })

  it('cancels its layers when it is closed, and leaves no file', async () => {
    const folder = freshFolder()
    const other = createPacker(folder, compressor)
    await other.pack([stored(file('x'))]).then(({ file: spooled }) => rmSync(spooled))
    const running = other.pack([stored(file(randomBytes(40 * blockSize)))])
    const outcome = assert.rejects(running, (error) => hasCode(error, 'CANCELLED'))
    while (readdirSync(folder).length === 0) await setTimeout(5)
    await other.close()
    await outcome
    await assert.rejects(other.pack([stored(file('x'))]), (error) => hasCode(error, 'CANCELLED'))
    assert.deepEqual(readdirSync(folder), [])
  })
})
