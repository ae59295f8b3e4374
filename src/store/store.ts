import type { Readable } from 'node:stream'
import { NixeryError, systemErrorCode, isNixeryError } from '../errors.ts'
import { hexOf, parseDigest, type Digest } from '../image/digest.ts'

/** Bytes that are to become a blob: digest and size are known before they are stored. */
export type Blob = { readonly digest: Digest; readonly size: number; readonly mediaType: string }

/** Bytes from `start` up to, and without, `end`. */
export type ByteRange = { readonly start: number; readonly end: number }

/** A blob as a list tells of it; `modified` in seconds since 1970, when it was stored last. */
export type StoredBlob = { readonly digest: Digest; readonly size: number; readonly modified: number }

/**
 * Content-addressed blobs. A blob is there whole or not at all; `conformance.ts` says what every store keeps.
 * Failures are STORE_FULL and STORE_UNAVAILABLE.
 */
export type BlobStore = {
  /** Where callers spool files for `putFile`. */
  readonly spoolDirectory: string
  /** The blob's size in bytes, or undefined when it is not there. */
  stat(digest: Digest): Promise<number | undefined>
  /** The blob's bytes, or a range of them. Fails with BLOB_UNKNOWN when it is not there. */
  read(digest: Digest, range?: ByteRange): Promise<Readable>
  /** Stores a spooled file under its digest and takes the file. */
  putFile(blob: Blob, file: string): Promise<void>
  /** Stores bytes that are in memory. */
  putBytes(blob: Blob, bytes: Uint8Array): Promise<void>
  /** Where a blob lies as a file of this machine; only of stores that keep them so. It need not be there. */
  file?(digest: Digest): string
  /** Removes a blob; nothing happens when it is not there. */
  delete(digest: Digest): Promise<void>
  /**
   * All blobs, in no order; what is no blob by its name is left out. Of those that come or go meanwhile some may be
   * told.
   */
  list(): AsyncIterable<StoredBlob>
  /**
   * Where a client may GET the blob itself, for a few minutes at least. Not every store has such addresses. Whoever
   * asks has made sure that the blob is there.
   */
  redirectUrl?(digest: Digest): Promise<string>
}

/** The name of a blob in a bucket: the original's, so that what it wrote is served. */
export const objectName = (digest: Digest): string => `${objectPrefix}${hexOf(digest)}`
export const objectPrefix = 'layers/'

/** The blob of such a name; undefined for what is none. */
export function digestOfName(name: string): Digest | undefined {
  const hex = /^layers\/([0-9a-f]{64})$/.exec(name)?.[1]
  return hex === undefined ? undefined : parseDigest(`sha256:${hex}`)
}

/** Says a failed system call in this project's words. */
export function storeError(error: unknown, doing: string): NixeryError {
  if (isNixeryError(error)) return error
  const code = systemErrorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new NixeryError('STORE_FULL', `the registry's storage is full (${doing})`, {
      cause: error,
      hint: 'the operator must free or add disk space',
    })
  }
  return new NixeryError(
    'STORE_UNAVAILABLE',
    `the registry's storage failed (${doing}: ${code ?? 'unknown'})`,
    {
      cause: error,
      hint: 'the operator finds the cause in the log',
    },
  )
}
