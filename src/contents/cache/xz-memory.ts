import { Transform, type TransformCallback } from 'node:stream'

/** Bytes of memory that expanding one xz file may take; Nix's files need 9 MB, and the largest preset 65 MB. */
export const xzMemory = 256 * 1024 * 1024

/** What the walk over a file needs next: a number of bytes to read, or to skip. */
type Wanted = { readonly look: number } | { readonly pass: number }

/**
 * Passes an xz file on unchanged, and fails if a block requires a dictionary of `most` bytes or more, before its
 * header has passed: for decoders without a limit. The decoder detects other damage.
 */
export function limitXzMemory(most: number = xzMemory): Transform {
  const walk = walkXz(most)
  let wanted: Wanted | undefined = walk.next().value ?? undefined
  /** The bytes read so far of those that the walk needs. */
  let held: Buffer = Buffer.alloc(0)

  return new Transform({
    transform(piece: Buffer, _encoding, done: TransformCallback) {
      try {
        for (let at = 0; wanted && at < piece.length;) {
          const size: number = 'pass' in wanted ? wanted.pass : wanted.look - held.length
          const some = piece.subarray(at, at + size)
          at += some.length
          if ('look' in wanted) {
            held = held.length === 0 ? some : Buffer.concat([held, some])
            if (held.length < wanted.look) break
            wanted = walk.next(held).value ?? undefined
            held = Buffer.alloc(0)
          } else if (some.length < size) wanted = { pass: size - some.length }
          else wanted = walk.next().value ?? undefined
        }
        held = Buffer.from(held) // the piece is not ours to keep
        done(null, piece)
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)))
      }
    },
  })
}

// https://tukaani.org/xz/xz-file-format.txt: sections 2.1.1 (streams), 3.1 (block headers), 4 (index), 5.3.1 (LZMA2).
const streamMagic = Buffer.from('fd377a585a00', 'hex')
const footerSize = 12
const lzma2 = 0x21

/** Follows the structure of a file, of any number of streams, to the headers of its blocks. */
function* walkXz(most: number): Generator<Wanted, void, Buffer | undefined> {
  function* look(size: number): Generator<Wanted, Buffer, Buffer | undefined> {
    const bytes = yield { look: size }
    if (bytes?.length !== size) throw new Error('the walk over an xz file lost its place')
    return bytes
  }
  function* pass(size: number): Generator<Wanted, void, Buffer | undefined> {
    if (size > 0) yield { pass: size }
  }
  /** A number of up to nine bytes, and how many they are. */
  function* varint(): Generator<Wanted, { value: number; size: number }, Buffer | undefined> {
    for (let value = 0, size = 1; ; size++) {
      const byte = (yield* look(1)).readUInt8()
      value += (byte & 0x7f) * 2 ** (7 * (size - 1))
      if (byte < 0x80) return { value, size }
      if (size === 9) throw damaged()
    }
  }

  for (;;) {
    const start = yield* look(4)
    if (start.readUInt32LE() === 0) continue // padding between streams, and after the last
    const header = Buffer.concat([start, yield* look(8)])
    if (!header.subarray(0, streamMagic.length).equals(streamMagic)) throw damaged()
    const check = checkSize(header.readUInt8(7))
    for (;;) {
      const words = (yield* look(1)).readUInt8()
      if (words === 0) break // the index follows
      refuseLarge(yield* look(4 * words + 3), most)
      let size = 0
      for (;;) {
        const control = (yield* look(1)).readUInt8()
        size += 1
        if (control === 0) break
        // Uncompressed; or compressed, where bits of the control byte tell whether a byte of properties comes first.
        const fields = control < 0x80 ? yield* look(2) : (yield* look(4)).subarray(2)
        const data = fields.readUInt16BE() + 1 + (control >= 0xc0 ? 1 : 0)
        yield* pass(data)
        size += (control < 0x80 ? 2 : 4) + data
      }
      yield* pass(padding(size) + check)
    }
    const records = yield* varint()
    let size = 1 + records.size
    for (let count = 0; count < 2 * records.value; count++) size += (yield* varint()).size
    yield* pass(padding(size) + 4 + footerSize)
  }
}

const damaged = () => new Error('xz data is damaged')
const padding = (size: number): number => (4 - (size % 4)) % 4

/** Bytes of the check after each block, by the stream's flags. */
const checkSize = (flags: number): number =>
  (flags & 0x0f) === 0 ? 0 : 4 * 2 ** Math.min(4, Math.floor(((flags & 0x0f) - 1) / 3))

/** @param header without its first byte, which has its size */
function refuseLarge(header: Buffer, most: number): void {
  let at = 1
  const next = (): number => {
    for (let value = 0, place = 0; place < 9; place++) {
      const byte = header[at++] ?? 0
      value += (byte & 0x7f) * 2 ** (7 * place)
      if (byte < 0x80) return value
    }
    throw damaged()
  }
  const flags = header.readUInt8(0)
  if (flags & 0x40) next() // the compressed size
  if (flags & 0x80) next() // the uncompressed size
  for (let filters = (flags & 0x03) + 1; filters > 0; filters--) {
    const [id, size] = [next(), next()]
    // Sizes are 2^n and 2^n + 2^(n-1), from 4 KiB to 4 GiB.
    const bits = header[at] ?? 0
    if (id === lzma2 && (bits > 40 || (2 | (bits & 1)) * 2 ** (11 + (bits >> 1)) >= most)) {
      throw new Error(`an xz file needs a dictionary of ${most} bytes or more`)
    }
    at += size
  }
}
