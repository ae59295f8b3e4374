import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { mediaTypes, type Layer } from '../image/oci.ts'
import { describeEach, decompress } from './engines-testing.ts'
import { layerDescriptor, layerFormats } from './format.ts'
import { createPacker, type Packer, type Piece } from './pack.ts'

describe('a layer format', () => {
  const [digest, diffId] = [digestOf('layer'), digestOf('tar')]
  const layers = (['gzip', 'zstd', 'none'] as const).map((compression): Layer => {
    return { digest, diffId, size: 5, compression }
  })
  for (const form of ['docker', 'oci'] as const) {
    it(`describes its layers in the ${form} form, without annotations`, () => {
      assert.deepEqual(
        layers.map((layer) => layerDescriptor(form, layer)),
        layers.map(({ compression }) => {
          return { mediaType: mediaTypes[form].layer[compression], digest, size: 5, annotations: {} }
        }),
      )
    })
  }

  it('has the name under which the catalog stores it', () => {
    for (const [name, format] of Object.entries(layerFormats)) assert.equal(format.name, name)
  })
})

// All current formats have blocks of 1 MiB, but packing must work with any block size.
describeEach('a format with smaller blocks', (opened) => {
  const block = 64 * 1024
  const framing = { block, room: block + 16 * 1024 }
  const format = { ...opened.compressor.format, framing }
  let spool: string
  let packer: Packer
  before(() => {
    spool = mkdtempSync(join(tmpdir(), 'nixery-format-'))
    packer = createPacker(spool, { ...opened.compressor, format }, { threads: 2 })
  })
  after(async () => {
    await packer.close()
    rmSync(spool, { recursive: true })
  })

  it('is packed and copied in frames of its size', async () => {
    const content = Buffer.concat([Buffer.alloc(5 * block, 'words'), randomBytes(3 * block + 7)])
    const entry = { kind: 'file', path: 'nix/store/x', mode: 0o444, content: { bytes: content } } as const
    const first = await packer.pack([{ entries: [entry] }])
    const bytes = readFileSync(first.file)
    const tar = decompress(opened, bytes)
    assert.equal(first.layer.diffId, digestOf(tar))
    assert.equal(first.layer.digest, digestOf(bytes))
    assert.ok(tar.subarray(512, 512 + content.length).equals(content))
    assert.deepEqual(first.spans.length, format.stored === 'span' ? 1 : 0)

    const [span] = first.spans
    const { expand } = opened.codec
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
