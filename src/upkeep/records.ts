import { buffer } from 'node:stream/consumers'
import { hasCode } from '../errors.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { keyOf } from '../image/canonical.ts'
import { digestOf, parseDigest, type Digest } from '../image/digest.ts'
import type { BlobStore, StoredBlob } from '../store/store.ts'

/** The blobs of an image, or of a manifest in the store, including the manifests themselves. */
export type ImageParts = { readonly manifests: readonly Digest[]; readonly others: readonly Digest[] }
/** A manifest list, and the manifests in it. */
export type IndexParts = { readonly index: Digest; readonly lists: readonly Digest[] }

type Part = { readonly digest: Digest }
/** The catalog's values: images from `builds`, and images that this module found in the store. */
type Stored =
  | {
      readonly manifests: Readonly<Record<string, Part>>
      readonly config: Part
      readonly layers: readonly Part[]
    }
  | IndexParts

/** Parses the catalog's value of an image; returns undefined if this version cannot read it. */
export const parseParts = (text: string): ImageParts | IndexParts | undefined =>
  attempt(() => partsOf(JSON.parse(text) as Stored))

function partsOf(stored: Stored): ImageParts | IndexParts {
  if ('index' in stored) return { index: parseDigest(stored.index), lists: stored.lists.map(parseDigest) }
  const digests = (parts: readonly Part[]) => parts.map(({ digest }) => parseDigest(digest))
  const { manifests, config, layers } = stored
  return { manifests: digests(Object.values(manifests)), others: digests([config, ...layers]) }
}

/** A manifest or index found in the store, with the value for the catalog. */
export type FoundImage = {
  readonly key: ImageKey
  readonly image: object
  readonly parts: ImageParts | IndexParts
}

// containerd's limit for manifests (core/remotes/docker/resolver.go); larger blobs are not manifests.
const maxManifestSize = 4_393_216

/**
 * Recognizes a blob that is a manifest or an index: of the original, or one that the catalog has lost. Returns undefined
 * for other blobs, and for damaged ones.
 */
export async function recognise(
  store: BlobStore,
  { digest, size }: StoredBlob,
): Promise<FoundImage | undefined> {
  if (size < 2 || size > maxManifestSize) return undefined
  try {
    const [first] = await buffer(await store.read(digest, { start: 0, end: 1 }))
    if (first !== '{'.codePointAt(0)) return undefined
    const bytes = await buffer(await store.read(digest))
    return digestOf(bytes) === digest ? readManifest(digest, bytes.toString()) : undefined
  } catch (error) {
    if (hasCode(error, 'BLOB_UNKNOWN')) return undefined // removed since it was listed
    throw error
  }
}

/** Parses a manifest by its structure, because the media type is optional in OCI manifests (image spec, manifest.md). */
function readManifest(digest: Digest, text: string): FoundImage | undefined {
  const json = attempt(() => JSON.parse(text) as unknown)
  if (json === null || typeof json !== 'object') return undefined
  const key = keyOf('found', 1, digest)
  const { manifests, config, layers } = json as Record<string, unknown>
  const lists = Array.isArray(manifests) ? manifests.map(partOf) : undefined
  if (lists?.every((part) => part !== undefined)) {
    const parts = { index: digest, lists: lists.map((part) => part.digest) }
    return { key, image: parts, parts }
  }
  const all = Array.isArray(layers) ? [config, ...(layers as unknown[])].map(partOf) : undefined
  if (!all?.every((part) => part !== undefined)) return undefined
  const [first, ...rest] = all
  if (!first) return undefined
  const image = { manifests: { found: { digest } }, config: first, layers: rest }
  return { key, image, parts: partsOf(image) }
}

/** The digest in a descriptor (image spec, descriptor.md). */
const partOf = (descriptor: unknown): Part | undefined =>
  attempt(() => ({ digest: parseDigest(String((descriptor as Record<string, unknown>)['digest'])) }))

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined // not in the expected format
  }
}
