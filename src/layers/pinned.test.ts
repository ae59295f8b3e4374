/**
 * The bytes of layers must not change: registries hold images made of them, and clients would fetch everything again. A
 * change here requires a new `archiveVersion` or another compressor id.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { describeEach } from './engines-testing.ts'
import { createPacker, type Packer, type Piece } from './pack.ts'

/** Words, numbers and incompressible bytes, the same in every run. */
function content(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  let state = 1
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = at % 700_000 < 200_000 ? state >>> 24 : 'words that repeat '.charCodeAt((at * at) % 18)
  }
  return bytes
}

const path = (name: string) => `nix/store/${'0'.repeat(32)}-${name}`
const file = (name: string, bytes: Uint8Array, mode = 0o444) =>
  ({ kind: 'file', path: path(name), mode, content: { bytes } }) as const
const pieces: readonly Piece[] = [
  {
    entries: [
      { kind: 'directory', path: path('a'), mode: 0o555 },
      file('a/program', Buffer.from('#!/bin/sh\n'), 0o555),
      { kind: 'symlink', path: path('a/link'), target: 'b\u00e4' },
      file(`a/${'long'.repeat(60)}`, content(5000)),
    ],
  },
  { entries: [file('b', content(2_500_000))] },
  { entries: [] },
  { entries: [file('c', Buffer.alloc(1024 * 1024 - 512, 'x'))] },
]

const diffId = 'sha256:ed3e1694e92c874eac359ecd3669a78b5b567937e578546af46800382d886007'
/** By compressor id. Other versions of the libraries produce other bytes, and have other ids. */
const pinned: Readonly<Record<string, readonly [digest: string, size: number, spans: string]>> = {
  'gzip/libdeflate/1/1048576/cb47970d986230e1': [
    'sha256:a46cb2c1f72d5429bbaa8fde1f87b8a746c0c9e21dbae5b2f2bc192f860b2c16',
    812_704,
    '0+5432 5432+805926 0+0 811358+1318',
  ],
  'gzip/gzip-1.3.2.1-motley-8002e91/4/1048576/aed288d91d11f714': [
    'sha256:b97ceb215501542dfd1b8d63309859d25744ddc910246f1965572aec48cd7400',
    814_189,
    '0+5417 5417+807618 0+0 813035+1125',
  ],
  'zstd/zstd-1.5.7/3/1048576/11dec24e84e6641e': [
    'sha256:db8cc3eccf588f91b1fa0ba8af4eb4852815dde203a85e60e0dc7765e910256d',
    807_626,
    '0+5316 5316+802150 0+0 807466+137',
  ],
  'none/none/0/1048576/10bc9c500600488b': [diffId, 3_559_936, ''],
}

describeEach('a pinned layer', ({ compressor }) => {
  let spool: string
  let packer: Packer
  before(() => {
    spool = mkdtempSync(join(tmpdir(), 'nixery-pinned-'))
    packer = createPacker(spool, compressor, { threads: 2 })
  })
  after(async () => {
    await packer.close()
    rmSync(spool, { recursive: true })
  })

  it('has not changed', async (t) => {
    const { layer, spans } = await packer.pack(pieces)
    assert.equal(layer.diffId, diffId)
    const expected = pinned[compressor.id]
    if (!expected) return t.skip(`no bytes are pinned for ${compressor.id}`)
    const places = spans.map(({ offset, length }) => `${offset}+${length}`).join(' ')
    assert.deepEqual([layer.digest, layer.size, places], expected)
  })
})
