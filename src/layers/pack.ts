import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { BadPath } from '../contents/cache/trouble.ts'
import { NixeryError } from '../errors.ts'
import type { Layer } from '../image/oci.ts'
import { storeError } from '../store/store.ts'
import type { Compressor } from './compressor.ts'
import type { PackOptions, PackResult, Piece, Span } from './piece.ts'
import { createThreads } from './threads.ts'

export type { PackOptions, Piece } from './piece.ts'

/** A packed layer. Its bytes are in a file of the spool folder, which the caller must store or remove. */
export type PackedLayer = {
  readonly layer: Layer
  readonly file: string
  /** The position of each piece's member, in order. Empty for uncompressed layers, whose members have no checksums. */
  readonly spans: readonly Span[]
  /** The listing of each piece, in order. Undefined for pieces that are not store paths, or too large to list. */
  readonly listings: readonly (string | undefined)[]
}

/** Packs layers in a bounded pool of threads. */
export type Packer = {
  /** Everything besides the contents that the bytes depend on. Part of every key. */
  readonly compressorId: string
  /**
   * Packs a layer. Equal pieces give equal bytes, and a path's member gives the same bytes as the path. Leaves no file
   * when it fails.
   * @throws STORE_FULL, STORE_UNAVAILABLE, BUILD_FAILED (see `MemberGone` and `BadPath`), PACKAGE_INVALID, BUILD_TIMEOUT;
   *   CANCELLED when the signal fires before a thread starts, or when the packer is closed
   */
  pack(pieces: readonly Piece[], options?: PackOptions): Promise<PackedLayer>
  /** Reads the urgency of all layers again, including those that are being packed. */
  reconsider(): void
  close(): Promise<void>
}

export type PackerOptions = {
  /** The number of threads; one per core by default. */
  readonly threads?: number
  /** The heap limit of a thread in megabytes; Node's limit by default. */
  readonly heap?: number
  /** The time limit for packing one layer, in seconds, once a thread has started; none by default. */
  readonly limit?: number
}

/** @param spoolDirectory the folder for the packed files */
export function createPacker(
  spoolDirectory: string,
  compressor: Compressor,
  { threads: count = availableParallelism(), heap, limit }: PackerOptions = {},
): Packer {
  const threads = createThreads({
    engine: compressor.engine,
    format: { framing: compressor.format.framing, stored: compressor.format.stored },
    count,
    heap,
    limit: limit === undefined ? undefined : limit * 1000,
  })
  let closed = false
  return {
    compressorId: compressor.id,
    reconsider: () => threads.reconsider(),
    async pack(pieces, options = {}) {
      if (closed) throw stopping()
      const file = join(spoolDirectory, randomUUID())
      const result = await threads.run({ pieces, file }, options)
      if (!result.ok) {
        await rm(file, { force: true }).catch(() => {}) // report the first error
        throw closed ? stopping() : failure(result)
      }
      const { digest, diffId, size: packed, spans, listings } = result
      const layer = { digest, diffId, size: packed, compression: compressor.format.name }
      return { layer, file, spans, listings }
    },
    close() {
      closed = true
      return threads.close()
    },
  }
}

const stopping = () => new NixeryError('CANCELLED', 'the registry is stopping')

/** The bytes of a member are missing or damaged. Pack the store path instead. */
export class MemberGone extends NixeryError<'BUILD_FAILED'> {
  constructor(cause?: unknown) {
    const message = 'cannot pack a layer: the stored bytes of one of its store paths are missing or damaged'
    super('BUILD_FAILED', message, { cause })
  }
}

function failure({ step, code, message, nar }: Extract<PackResult, { ok: false }>): NixeryError {
  const cause = Object.assign(new Error(message), { code, step })
  if (nar) return new BadPath(nar.storePath, nar.cache, message, cause)
  if (step === 'late') {
    return new NixeryError('BUILD_TIMEOUT', 'packing a layer took too long', {
      cause,
      hint: 'the operator can raise NIXERY_PACK_TIMEOUT',
    })
  }
  if (step === 'name') {
    const path = JSON.stringify(Buffer.from(message, 'latin1').toString().slice(0, 500))
    return new NixeryError('PACKAGE_INVALID', `an image cannot contain ${path}`, {
      cause,
      hint: 'container runtimes treat names that begin with .wh. as deletions; rename the file in the package',
    })
  }
  if (step === 'member') return new MemberGone(cause)
  if (step === 'writing') return storeError(cause, 'packing a layer')
  const reason = {
    reading: 'cannot read a store path',
    nar: 'cannot read a NAR from a binary cache',
    compressing: 'cannot compress a block',
    thread: 'the packing thread ended',
  }[step]
  return new NixeryError('BUILD_FAILED', `cannot pack a layer: ${reason}`, {
    cause,
    hint: 'the server log has the cause',
  })
}
