import { createHash, hash } from 'node:crypto'
import { NixeryError } from '../errors.ts'

/** `sha256:<64 lower-case hex digits>`: the identity of bytes (OCI image spec, descriptor.md §Digests). */
export type Digest = `sha256:${string}` & { readonly __brand: 'Digest' }

const pattern = /^sha256:[0-9a-f]{64}$/

/** Throws DIGEST_INVALID for anything that is not a whole sha256 digest. */
export function parseDigest(text: string): Digest {
  if (pattern.test(text)) return text as Digest
  throw new NixeryError(
    'DIGEST_INVALID',
    'a digest is "sha256:" followed by 64 lower-case hexadecimal digits',
  )
}

/** The digest of bytes in memory. */
export const digestOf = (bytes: Uint8Array | string): Digest => `sha256:${hash('sha256', bytes)}` as Digest

/** Computes a digest incrementally: call `update` with each piece, then `digest` once. */
export function digester(): { update(bytes: Uint8Array): void; digest(): Digest } {
  const sha256 = createHash('sha256')
  return {
    update: (bytes) => void sha256.update(bytes),
    digest: () => `sha256:${sha256.digest('hex')}` as Digest,
  }
}

/** The 64 hex digits alone, for file and object names. */
export const hexOf = (digest: Digest): string => digest.slice('sha256:'.length)
