import type { Readable } from 'node:stream'
import { NixeryError, systemErrorCode, isNixeryError } from '../errors.ts'
import { hexOf, parseDigest, type Digest } from '../image/digest.ts'

/** The description of a blob, which is known before its bytes are stored. */
export type Blob = { readonly digest: Digest; readonly size: number; readonly mediaType: string }

/** The bytes from `start` to `end`, exclusive. */
export type ByteRange = { readonly start: number; readonly end: number }

/** A blob in a listing. `modified` is when it was last stored, in seconds since 1970. */
export type StoredBlob = { readonly digest: Digest; readonly size: number; readonly modified: number }

/**
 * A store of content-addressed blobs. Blobs are stored atomically. All stores pass `conformance.ts`, and fail with
 * STORE_FULL or STORE_UNAVAILABLE.
 */
export type BlobStore = {
  /** The folder where callers write files for `putFile`. */
  readonly spoolDirectory: string
  /** Returns the blob's size in bytes, or undefined if it does not exist. */
  stat(digest: Digest): Promise<number | undefined>
  /** Reads a blob or a range of it. Fails with BLOB_UNKNOWN if it does not exist. */
  read(digest: Digest, range?: ByteRange): Promise<Readable>
  /** Stores a spooled file under its digest, and moves or removes the file. */
  putFile(blob: Blob, file: string): Promise<void>
  /** Stores bytes from memory. */
  putBytes(blob: Blob, bytes: Uint8Array): Promise<void>
  /** Returns the path of a blob, which need not exist. Only stores that keep blobs as local files have this method. */
  file?(digest: Digest): string
  /** Removes a blob, if it exists. */
  delete(digest: Digest): Promise<void>
  /**
   * Lists all blobs in any order, without files or objects that are not blobs by their names. Blobs that are stored or
   * removed during the listing may be missing or included.
   */
  list(): AsyncIterable<StoredBlob>
  /**
   * Returns a URL where clients can GET the blob for at least a few minutes. Not every store has such URLs. The caller
   * must check that the blob exists.
   */
  redirectUrl?(digest: Digest): Promise<string>
}

/** The object name of a blob. It is the same as the original's, whose objects can be served. */
export const objectName = (digest: Digest): string => `${objectPrefix}${hexOf(digest)}`
export const objectPrefix = 'layers/'

/** Parses an object name. Returns undefined if it is not the name of a blob. */
export function digestOfName(name: string): Digest | undefined {
  const hex = /^layers\/([0-9a-f]{64})$/.exec(name)?.[1]
  return hex === undefined ? undefined : parseDigest(`sha256:${hex}`)
}

/** The messages for failures to store or read files; clients see them. */
export type StorageTexts = { readonly full: string; readonly failed: string }
export const ofBlobs: StorageTexts = {
  full: "the registry's storage is full",
  failed: "the registry's storage failed",
}

/** Converts a failed system call to a NixeryError. */
export function storeError(error: unknown, doing: string, texts = ofBlobs): NixeryError {
  if (isNixeryError(error)) return error
  const code = systemErrorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new NixeryError('STORE_FULL', `${texts.full} (${doing})`, {
      cause: error,
      hint: 'the operator must free or add disk space',
    })
  }
  return new NixeryError('STORE_UNAVAILABLE', `${texts.failed} (${doing}: ${code ?? 'unknown'})`, {
    cause: error,
    hint: 'the server log has the cause',
  })
}
