import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Piscina } from 'piscina'
import { NixeryError } from '../errors.ts'
import type { Layer } from '../image/oci.ts'
import { storeError } from '../store/store.ts'
import { gzipCompressor } from './compressor.ts'
import type { PackJob, PackResult, Piece, Span } from './pack.worker.ts'

export type { Piece } from './pack.worker.ts'

/** A layer's bytes in a file of the spool folder, which is the caller's to store or remove. */
export type PackedLayer = { readonly layer: Layer; readonly file: string; readonly spans: readonly Span[] }

/** Packs layers in a bounded pool of threads. */
export type Packer = {
  /** What the bytes depend on besides the contents; part of every key. */
  readonly compressorId: string
  /**
   * Equal pieces give equal bytes. Fails with STORE_FULL, STORE_UNAVAILABLE or BUILD_FAILED and leaves no file;
   * once the packer is closed, with CANCELLED.
   */
  pack(pieces: readonly Piece[]): Promise<PackedLayer>
  close(): Promise<void>
}

/** @param spoolDirectory where the files are written */
export function createPacker(spoolDirectory: string): Packer {
  const pool = new Piscina<PackJob, PackResult>({
    filename: new URL('pack.worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: availableParallelism(),
    idleTimeout: 60_000,
  })
  // The pool itself would start threads anew for what comes after its end.
  let closed = false
  return {
    compressorId: gzipCompressor.id,
    async pack(pieces) {
      if (closed) throw stopping()
      const file = join(spoolDirectory, randomUUID())
      const result = await pool.run({ pieces, file }).catch((error: unknown): PackResult => ({
        ok: false, // the thread itself died
        step: 'reading',
        code: undefined,
        message: error instanceof Error ? error.message : String(error),
      }))
      if (!result.ok) {
        await rm(file, { force: true }).catch(() => {}) // the first error is the one to tell
        throw closed ? stopping() : failure(result)
      }
      const { digest, diffId, size, spans } = result
      return { layer: { digest, diffId, size, compression: gzipCompressor.compression }, file, spans }
    },
    close() {
      closed = true
      return pool.destroy()
    },
  }
}

const stopping = () => new NixeryError('CANCELLED', 'the registry is stopping')

function failure({ step, code, message }: Extract<PackResult, { ok: false }>): NixeryError {
  const cause = Object.assign(new Error(message), { code })
  if (step === 'writing') return storeError(cause, 'packing a layer')
  return new NixeryError('BUILD_FAILED', 'a layer could not be packed: a store path cannot be read', {
    cause,
    hint: 'the operator finds the cause in the log',
  })
}
