import type { Readable } from 'node:stream'
import { NixeryError } from '../errors.ts'
import { digester, type Digest } from '../image/digest.ts'

/** A blob that is known to be there. */
export type Descriptor = { readonly digest: Digest; readonly size: number }

/** Gives the bytes of a blob; fails if they turn out to be others. */
export type ReadBlob = (blob: Descriptor) => AsyncIterable<Uint8Array>

/**
 * Checks blobs while they are read. The last piece is held back until all was hashed, so that nobody ever gets
 * the whole of a damaged blob.
 * @param damaged is told of one whose bytes are not what they should be, and may remove it
 * @throws STORE_UNAVAILABLE
 */
export function verifiedReader(
  open: (digest: Digest) => Promise<Readable>,
  damaged: (digest: Digest) => Promise<unknown>,
): ReadBlob {
  return async function* ({ digest, size }) {
    const hash = digester()
    let read = 0
    let held: Uint8Array | undefined
    for await (const chunk of (await open(digest)) as AsyncIterable<Uint8Array>) {
      hash.update(chunk)
      read += chunk.length
      if (held) yield held
      held = chunk
    }
    if (read !== size || hash.digest() !== digest) {
      await damaged(digest)
      throw new NixeryError('STORE_UNAVAILABLE', `a blob in the store is damaged: ${digest}`, {
        hint: 'it was removed; the same command makes it again',
      })
    }
    if (held) yield held
  }
}
