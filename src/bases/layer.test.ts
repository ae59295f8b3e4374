import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { digestOf } from '../image/digest.ts'
import type { BaseEntry } from '../rootfs/base-entry.ts'
import { readLayer } from './layer.ts'
import { attemptIn } from './scan.ts'
import { parseScan, scanText } from './scan-text.ts'

// Archives are created by GNU tar, in all its formats.

let folder: string
const long = `${'long'.repeat(40)}/${'name'.repeat(40)}`
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'nixery-layer-'))
  const root = join(folder, 'root')
  mkdirSync(join(root, 'etc'), { recursive: true })
  mkdirSync(join(root, long), { recursive: true })
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n')
  writeFileSync(join(root, long, 'file'), 'x'.repeat(3000))
  writeFileSync(join(root, 'etc/.wh.gone'), '')
  writeFileSync(join(root, 'etc/.wh..wh..opq'), '')
  symlinkSync('t'.repeat(200), join(root, 'link'))
  chmodSync(join(root, 'etc'), 0o1751)
})
after(() => rmSync(folder, { recursive: true }))

const tar = (...args: readonly string[]): Buffer => {
  const file = join(folder, 'out.tar')
  execFileSync('tar', [
    '-cf',
    file,
    '-C',
    join(folder, 'root'),
    '--owner=70000:70000',
    '--group=3:3',
    ...args,
  ])
  return readFileSync(file)
}

/** Without the trailing zeros. */
const withoutEnd = (bytes: Buffer): Buffer => {
  let end = bytes.length
  while (bytes[end - 1] === 0) end -= 1
  return bytes.subarray(0, Math.ceil(end / 512) * 512)
}

const whole = () => ({ bytes: 1e8, entries: 1000, names: 1e6 })
const most = { bytes: 1e8, entries: 1000 }

type Damage = { digest?: string; diffId?: string; size?: number }

async function read(
  expanded: Buffer,
  compression: 'gzip' | 'zstd' | 'none' = 'none',
  {
    room = whole(),
    bytes = packed(expanded, compression),
    ...damage
  }: { room?: ReturnType<typeof whole>; bytes?: Buffer } & Damage = {},
): Promise<readonly BaseEntry[]> {
  const wanted = {
    digest: digestOf(bytes),
    diffId: digestOf(expanded),
    size: bytes.length,
    compression,
    ...damage,
  }
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
  }
  return readLayer(pieces(), wanted as Parameters<typeof readLayer>[1], { room, most })
}

const packed = (bytes: Buffer, compression: 'gzip' | 'zstd' | 'none'): Buffer =>
  compression === 'none' ? bytes : compression === 'gzip' ? gzipSync(bytes) : zstdCompressSync(bytes)

describe('a layer of a base', () => {
  it('is read equally from every archive format and compression', async () => {
    const plain = await read(tar('--format=gnu', '.'))
    const expected = [
      { kind: 'directory', path: 'etc', mode: 0o1751, owner: { uid: 70_000, gid: 3 } },
      {
        kind: 'file',
        path: 'etc/passwd',
        mode: 0o644,
        owner: { uid: 70_000, gid: 3 },
        text: 'root:x:0:0::/:/bin/sh\n',
      },
      { kind: 'removed', path: 'etc/gone' },
      { kind: 'emptied', path: 'etc' },
      { kind: 'link', path: 'link', target: 't'.repeat(200) },
      { kind: 'file', path: `${long}/file`, mode: 0o644, owner: { uid: 70_000, gid: 3 } },
    ]
    for (const entry of expected)
      assert.deepEqual(
        plain.find((one) => one.path === entry.path && one.kind === entry.kind),
        entry,
      )
    assert.deepEqual(await read(tar('--format=pax', '.')), plain)
    assert.deepEqual(await read(tar('--format=gnu', '.'), 'gzip'), plain)
    const [first, second] = [withoutEnd(tar('--format=gnu', 'etc')), tar('--format=gnu', 'link')]
    const frames = Buffer.concat([zstdCompressSync(first), zstdCompressSync(second)])
    const two = await read(Buffer.concat([first, second]), 'zstd', { bytes: frames })
    assert.ok(two.some(({ path }) => path === 'link') && two.some(({ path }) => path === 'etc/passwd'))
    assert.deepEqual(parseScan(scanText(plain)), plain)
  })

  it('is refused if its bytes do not match its digests', async () => {
    const archive = tar('etc')
    const other = digestOf('other')
    await assert.rejects(
      read(archive, 'gzip', { digest: other }),
      /the registry sent content that does not match sha256:/,
    )
    await assert.rejects(read(archive, 'gzip', { size: 10 }), /the registry sent content that does not match/)
    await assert.rejects(read(archive, 'gzip', { diffId: other }), /does not match its config/)
    await assert.rejects(read(archive, 'gzip', { bytes: Buffer.from('no gzip') }), /cannot be expanded/)
    await assert.rejects(read(Buffer.from('no archive'.repeat(100))), /is not a tar archive/)
    await assert.rejects(read(archive.subarray(0, 700)), /ends in the middle/)
  })

  it('releases the limits used by a failed attempt, but not those used by other layers', async () => {
    const room = whole()
    const attempt = attemptIn(room)
    await assert.rejects(read(tar('.'), 'none', { room: attempt.room, diffId: `sha256:${'0'.repeat(64)}` }))
    const other = whole()
    await read(tar('etc'), 'none', { room: other })
    await read(tar('etc'), 'none', { room })
    attempt.undo()
    assert.deepEqual(room, other)
  })

  it('is refused if it is a bomb of bytes, files or names', async () => {
    const zeros = Buffer.alloc(50_000_000)
    await assert.rejects(
      read(zeros, 'gzip', { room: { ...whole(), bytes: 1e6 } }),
      /more than 100000000 bytes, uncompressed/,
    )
    await assert.rejects(read(tar('.'), 'none', { room: { ...whole(), entries: 2 } }), /more than 1000 files/)
    await assert.rejects(
      read(tar('.'), 'none', { room: { ...whole(), names: 100 } }),
      /names of its files are too long/,
    )
    const again = withoutEnd(tar('etc/passwd'))
    const often = Buffer.concat(Array.from({ length: 100 }, () => again))
    await assert.rejects(read(often, 'gzip', { room: { ...whole(), names: 2000 } }), /etc\/passwd too often/)
    const header = Buffer.from(tar('--format=pax', '.'))
    // An extended header with a declared size of 2 GiB.
    const at = header.indexOf('PaxHeaders')
    const start = at - (at % 512)
    header.write('20000000000\0', start + 124, 'latin1')
    header.write(' '.repeat(8), start + 148, 'latin1')
    const sum = header.subarray(start, start + 512).reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, start + 148, 'latin1')
    await assert.rejects(read(header), /a name or attributes of 2147483648 bytes/)
    await assert.rejects(read(tar('--transform=s,etc,../x,', '-P', 'etc')), /a path with "\.\."/)
  })
})
