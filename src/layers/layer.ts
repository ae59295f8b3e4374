import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { digester } from '../image/digest.ts'
import { systemErrorCode } from '../errors.ts'
import type { Entry } from '../contents/entry.ts'
import type { ReadPath } from '../contents/source.ts'
import { ReservedName, tarBlocks, trailer } from './archive.ts'
import type { Codec } from './engine.ts'
import type { PackFormat } from './format.ts'
import type { PackJob, PackResult, Piece, Span, Step } from './piece.ts'
import type { Slots } from './slots.ts'

/** What a thread needs to pack layers. */
export type LayerDeps = {
  readonly slots: Slots
  readonly codec: Codec
  readonly format: PackFormat
  readonly readPath: ReadPath
}

/**
 * Packs one layer in one pass: tar → diffId → compress → digest → file. Blocks wait in slots to be compressed, so other
 * threads can help. They are written in order.
 */
export function packLayer(job: PackJob, { slots, codec, format, readPath }: LayerDeps): PackResult {
  let step = 'writing' as Step
  /** The piece that is being read. */
  let reading: Piece | undefined
  const pending: { readonly slot: number; readonly piece: number }[] = []
  try {
    const descriptor = openSync(job.file, 'wx')
    try {
      const diffId = digester()
      // Without compression both digests are equal. Hashing takes most of the time, so it is done once.
      const digest = codec.expand ? digester() : undefined
      const spans: Span[] = job.pieces.map(() => ({ offset: 0, length: 0 }))
      const listings: (string | undefined)[] = job.pieces.map(() => undefined)
      let size = 0

      const write = (bytes: Uint8Array, piece: number) => {
        step = 'writing'
        for (let from = 0; from < bytes.length;) from += writeSync(descriptor, bytes, from)
        digest?.update(bytes)
        const span = spans[piece]
        if (span) {
          const offset = span.length === 0 ? size : span.offset
          spans[piece] = { offset, length: span.length + bytes.length }
        }
        size += bytes.length
      }
      const writeOldest = () => {
        const [oldest] = pending
        if (!oldest) return
        step = 'compressing'
        write(slots.settle(pending.map(({ slot }) => slot)), oldest.piece)
        slots.release(oldest.slot)
        pending.shift()
      }
      const take = () => {
        let slot = slots.take()
        while (slot === undefined) {
          writeOldest()
          slot = slots.take()
        }
        step = stepOf(reading)
        return slot
      }
      const packEntries = (entries: Iterable<Entry>, piece: number) => {
        step = stepOf(reading)
        let slot: number | undefined
        const blocks = tarBlocks(entries, format.framing.block, () => slots.block((slot = take())))
        try {
          for (const block of blocks) {
            diffId.update(block)
            if (slot === undefined) throw new Error('a block without a slot')
            slots.offer(slot, block.length)
            pending.push({ slot, piece })
            slot = undefined
          }
        } finally {
          if (slot !== undefined) slots.release(slot)
        }
      }
      const packMember = ({ member }: Extract<Piece, { readonly member: unknown }>, piece: number) => {
        while (pending.length > 0) writeOldest()
        step = 'member'
        for (const { compressed, expanded } of framesIn(member, codec, format)) {
          diffId.update(expanded)
          write(compressed, piece)
          step = 'member'
        }
      }

      for (const [index, piece] of job.pieces.entries()) {
        reading = piece
        if ('member' in piece) packMember(piece, index)
        else if ('entries' in piece) packEntries(piece.entries, index)
        else {
          const { entries, listing } = readPath(piece)
          packEntries(entries, index)
          listings[index] = listing()
        }
      }
      reading = undefined
      const last = take()
      slots.block(last).set(trailer)
      diffId.update(trailer)
      slots.offer(last, trailer.length)
      pending.push({ slot: last, piece: job.pieces.length })
      while (pending.length > 0) writeOldest()
      const tarDigest = diffId.digest()
      return {
        ok: true,
        digest: digest?.digest() ?? tarDigest,
        diffId: tarDigest,
        size,
        spans: format.stored === 'span' ? spans : [],
        listings,
      }
    } finally {
      for (const { slot } of pending) slots.release(slot)
      closeSync(descriptor)
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    if (error instanceof ReservedName) step = 'name'
    const nar = step === 'nar' && reading && 'nar' in reading ? reading.nar : undefined
    const failedNar = nar && { nar: { storePath: nar.storePath, cache: nar.cache } }
    return { ok: false, step, code: systemErrorCode(error), message, ...failedNar }
  }
}

const stepOf = (piece: Piece | undefined): Step => (piece && 'nar' in piece ? 'nar' : 'reading')

/**
 * Yields the gzip members or zstd frames of a range, each with its expansion. The bytes are valid until the next step.
 * @throws an Error if a member or frame is truncated or damaged
 */
function* framesIn(
  { file, offset, length }: Extract<Piece, { readonly member: unknown }>['member'],
  { expand }: Codec,
  { framing, stored }: PackFormat,
): Generator<{ compressed: Uint8Array; expanded: Uint8Array }> {
  if (!expand || stored !== 'span')
    throw new Error('an uncompressed layer has no checksums, so its members cannot be copied')
  const window = Buffer.allocUnsafe(framing.room)
  const block = Buffer.allocUnsafe(framing.block)
  const descriptor = openSync(file, 'r')
  try {
    let filled = 0 // bytes at the start of the window
    for (let done = 0; done < length;) {
      while (filled < Math.min(framing.room, length - done)) {
        const count = Math.min(framing.room - filled, length - done - filled)
        const got = readSync(descriptor, window, filled, count, offset + done + filled)
        if (got === 0)
          throw new Error(`${file} ends before byte ${offset + length}, where the member should end`)
        filled += got
      }
      const { read, expanded } = expand(window.subarray(0, filled), block)
      yield { compressed: window.subarray(0, read), expanded }
      window.copyWithin(0, read, filled)
      filled -= read
      done += read
    }
  } finally {
    closeSync(descriptor)
  }
}
