import { LRUCache } from 'lru-cache'
import { parseDigest, type Digest } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'

// containerd accepts no manifest above 4·1048·1048 bytes (core/remotes/docker/resolver.go).
export const largestManifest = 4_393_216

/** The manifests in an index; none if it is not an index. */
export function listedIn(bytes: Buffer): Digest[] {
  try {
    const { manifests = [] } = JSON.parse(bytes.toString()) as { manifests?: { digest: string }[] }
    return manifests.map(({ digest }) => parseDigest(digest))
  } catch {
    return []
  }
}

// Whether a blob is a manifest, and of which type, never changes.
const types = new LRUCache<Digest, { readonly type: string | undefined }>({ max: 10_000 })
const known: readonly string[] = Object.values(mediaTypes).flatMap(({ manifest, index }) => [manifest, index])

/** Manifests and other blobs are stored together; a blob is a manifest if its contents say so. */
export function typeOf(digest: Digest, bytes: Buffer): string | undefined {
  const remembered = types.get(digest) ?? { type: readType(bytes) }
  types.set(digest, remembered)
  return remembered.type
}

function readType(bytes: Buffer): string | undefined {
  try {
    const json: unknown = JSON.parse(bytes.toString())
    const type = json !== null && typeof json === 'object' && 'mediaType' in json ? json.mediaType : undefined
    return known.find((each) => each === type)
  } catch {
    return undefined // not JSON, so not a manifest
  }
}
