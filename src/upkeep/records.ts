import { buffer } from 'node:stream/consumers'
import { hasCode } from '../errors.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { keyOf } from '../image/canonical.ts'
import { digestOf, parseDigest, type Digest } from '../image/digest.ts'
import type { BlobStore, StoredBlob } from '../store/store.ts'

/** What an image, or a manifest that was found in the store, refers to: itself first. */
export type ImageParts = { readonly manifests: readonly Digest[]; readonly others: readonly Digest[] }
/** A manifest list with what it lists. */
export type IndexParts = { readonly index: Digest; readonly lists: readonly Digest[] }

type Part = { readonly digest: Digest }
/** What the catalog keeps: images as `build` writes them, and what was found in the store, as this room does. */
type Stored =
  | {
      readonly manifests: Readonly<Record<string, Part>>
      readonly config: Part
      readonly layers: readonly Part[]
    }
  | IndexParts

/** Reads what the catalog keeps of an image; undefined for what this version cannot read. */
export const parseParts = (text: string): ImageParts | IndexParts | undefined =>
  attempt(() => partsOf(JSON.parse(text) as Stored))

function partsOf(stored: Stored): ImageParts | IndexParts {
  if ('index' in stored) return { index: parseDigest(stored.index), lists: stored.lists.map(parseDigest) }
  const digests = (parts: readonly Part[]) => parts.map(({ digest }) => parseDigest(digest))
  const { manifests, config, layers } = stored
  return { manifests: digests(Object.values(manifests)), others: digests([config, ...layers]) }
}

/** Something that was found in the store, as the catalog is to keep it. */
export type Found = {
  readonly key: ImageKey
  readonly image: object
  readonly parts: ImageParts | IndexParts
}

// containerd takes no larger manifest (core/remotes/docker/resolver.go); a blob that is larger is none.
const largestManifest = 4_393_216

/**
 * What a blob in the store is, if it is a manifest or an index: of the original's, or one that the catalog has lost.
 * Undefined for anything else, and for one whose bytes are not what its digest says.
 */
export async function recognise(store: BlobStore, { digest, size }: StoredBlob): Promise<Found | undefined> {
  if (size < 2 || size > largestManifest) return undefined
  try {
    const [first] = await buffer(await store.read(digest, { start: 0, end: 1 }))
    if (first !== '{'.codePointAt(0)) return undefined
    const bytes = await buffer(await store.read(digest))
    return digestOf(bytes) === digest ? readManifest(digest, bytes.toString()) : undefined
  } catch (error) {
    if (hasCode(error, 'BLOB_UNKNOWN')) return undefined // removed meanwhile
    throw error
  }
}

/** By its structure: OCI's form need not name its media type (image spec, manifest.md). */
function readManifest(digest: Digest, text: string): Found | undefined {
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
    return undefined // not what is looked for
  }
}
