import { NixeryError } from '../errors.ts'
import { digestOf, hexOf } from '../image/digest.ts'
import type { Compression } from '../image/oci.ts'
import { openCodec } from './codec.ts'
import { engines, levels, type Codec, type Engine } from './engine.ts'
import { layerFormats, type LayerFormat } from './format.ts'

/** A compressor for layers: an engine and the format that it produces. */
export type Compressor = {
  readonly engine: Engine
  readonly format: LayerFormat
  /** Everything besides the block that the bytes depend on: engine, version, level, format, block size. Part of every key. */
  readonly id: string
}

/**
 * The values of the setting. `auto` is the fastest engine whose output is the same on every CPU and at most 12 % larger
 * than that of `gzip -6`.
 */
export const compressionChoices = ['auto', ...engines] as const
export type CompressionChoice = (typeof compressionChoices)[number]

const formats: Readonly<Record<Engine, Compression>> = {
  libdeflate: 'gzip',
  gzip: 'gzip',
  zstd: 'zstd',
  none: 'none',
}

/** The Debian package of the library that an engine needs. */
const packages: Partial<Readonly<Record<Engine, string>>> = { libdeflate: 'libdeflate0' }

/**
 * Opens a compressor.
 * @param note receives a line when `auto` falls back to zlib
 * @throws CONFIG_INVALID when the library of a named compressor cannot be loaded
 */
export async function openCompressor(
  choice: CompressionChoice,
  note: (line: string) => void,
): Promise<Compressor> {
  const engine = choice === 'auto' ? 'libdeflate' : choice
  try {
    return compressorOf(engine, await openCodec(engine))
  } catch (cause) {
    const hint = `install koffi (npm) and ${packages[engine] ?? engine}; on Debian: apt-get install ${packages[engine] ?? engine}`
    if (choice === 'auto') {
      note(`cannot load libdeflate; using zlib, which takes more than twice as long; ${hint}`)
      return compressorOf('gzip', await openCodec('gzip'))
    }
    throw new NixeryError('CONFIG_INVALID', `NIXERY_COMPRESSION: cannot load ${choice}`, { cause, hint })
  }
}

const versions: Partial<Readonly<Record<Engine, string | undefined>>> = {
  gzip: process.versions.zlib,
  zstd: process.versions.zstd,
}

/**
 * Libraries do not report their versions, so the id contains a digest of the codec's output for a fixed block.
 */
function compressorOf(engine: Engine, codec: Codec): Compressor {
  const into = new Uint8Array(4 * sampleSize)
  const probe = hexOf(digestOf(into.subarray(0, codec.compress(sample(), into)))).slice(0, 16)
  const format = layerFormats[formats[engine]]
  const program = versions[engine] === undefined ? engine : `${engine}-${versions[engine]}`
  const { name, framing } = format
  return { engine, format, id: `${name}/${program}/${levels[engine]}/${framing.block}/${probe}` }
}

/** A different sample changes the id, and so the keys of all layers. */
const sampleSize = 512 * 1024

/** A fixed block with repeated words, numbers and noise, as programs contain them. */
function sample(): Uint8Array {
  const bytes = Buffer.alloc(sampleSize)
  let state = 1
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  for (let at = 0; at < bytes.length;) {
    const kind = random(8)
    if (kind === 0) for (const end = at + random(64); at < end; at++) bytes[at] = random(256)
    else if (kind < 4) at = bytes.writeUInt32LE(random(2 ** (8 * kind)), Math.min(at, bytes.length - 4))
    else {
      const back = Math.min(at, random(2 ** (kind + 8)))
      bytes.copyWithin(at, at - back, at - back + random(40))
      at += 1 + random(40)
    }
  }
  return bytes
}
