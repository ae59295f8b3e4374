import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { mediaTypes, type Layer } from '../image/oci.ts'
import { describeEach, decompressed } from './engines-testing.ts'
import { layerDescriptor, layerFormats } from './format.ts'
import { createPacker, type Packer, type Piece } from './pack.ts'

describe('a layer format', () => {
  const [digest, diffId] = [digestOf('layer'), digestOf('tar')]
  const layers = (['gzip', 'zstd', 'none'] as const).map((compression): Layer => {
    return { digest, diffId, size: 5, compression }
  })
  for (const form of ['docker', 'oci'] as const) {
    it(`says what its layers are in ${form} form, and nothing besides`, () => {
      assert.deepEqual(
        layers.map((layer) => layerDescriptor(form, layer)),
        layers.map(({ compression }) => {
          return { mediaType: mediaTypes[form].layer[compression], digest, size: 5, annotations: {} }
        }),
      )
    })
  }

  it('has the name that it is remembered by', () => {
    for (const [name, format] of Object.entries(layerFormats)) assert.equal(format.name, name)
  })
})

// Blocks of 1 MiB are the choice of the formats that there are: packing works with whatever a format says.
describeEach('a format with other blocks', (present) => {
  const block = 64 * 1024
  const framing = { block, room: block + 16 * 1024 }
  const format = { ...present.compressor.format, framing }
  let spool: string
  let packer: Packer
  before(() => {
    spool = mkdtempSync(join(tmpdir(), 'nixery-format-'))
    packer = createPacker(spool, { ...present.compressor, format }, { threads: 2 })
  })
  after(async () => {
    await packer.close()
    rmSync(spool, { recursive: true })
  })

  it('is packed, and copied from, in frames of its own size', async () => {
    const content = Buffer.concat([Buffer.alloc(5 * block, 'words'), randomBytes(3 * block + 7)])
    const entry = { kind: 'file', path: 'nix/store/x', mode: 0o444, content: { bytes: content } } as const
    const first = await packer.pack([{ entries: [entry] }])
    const bytes = readFileSync(first.file)
    const tar = decompressed(present, bytes)
    assert.equal(first.layer.diffId, digestOf(tar))
    assert.equal(first.layer.digest, digestOf(bytes))
    assert.ok(tar.subarray(512, 512 + content.length).equals(content))
    assert.deepEqual(first.spans.length, format.kept === 'span' ? 1 : 0)

    const [span] = first.spans
    const { expand } = present.codec
    if (!span || !expand) return
    const sizes: number[] = []
    for (let at = 0; at < span.length;) {
      const { read, expanded } = expand(bytes.subarray(at, span.length), new Uint8Array(block))
      sizes.push(expanded.length)
      at += read
    }
    assert.ok(sizes.slice(0, -1).every((size) => size === block))
    const member: Piece = { member: { file: first.file, ...span } }
    assert.deepEqual((await packer.pack([member])).layer, first.layer)
  })
})
