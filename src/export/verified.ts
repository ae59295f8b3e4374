import type { Readable } from 'node:stream'
import { NixeryError } from '../errors.ts'
import { digester, type Digest } from '../image/digest.ts'

/** The digest and size of a blob. */
export type Descriptor = { readonly digest: Digest; readonly size: number }

/** Reads a blob; fails if its content does not match its digest. */
export type ReadBlob = (blob: Descriptor) => AsyncIterable<Uint8Array>

/**
 * Verifies blobs while they are read. The last piece is held back until everything is hashed, so that no reader gets all
 * of a damaged blob.
 * @param damaged called for a blob whose content does not match its digest; may remove it
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
        hint: 'it was removed; run the same command again to rebuild it',
      })
    }
    if (held) yield held
  }
}
