import { LRUCache } from 'lru-cache'
import type { Blobs } from '../builds/blobs.ts'
import type { Asked } from '../builds/builder.ts'
import { publishIndex, type Image } from '../builds/image.ts'
import { createOneRevision, type OneRevision } from '../builds/one-revision.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { chooseAnswer } from '../image/accept.ts'
import type { Digest } from '../image/digest.ts'
import type { ImageRequest } from '../image/name.ts'
import { mediaTypes } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import { isKnown } from './conditional.ts'
import { imagesOf, onPlatforms } from './platforms.ts'
import { immutable, registryHeaders, type Ask, type Reply } from './reply.ts'

export type ManifestDeps = {
  readonly builder: { build(image: ImageRequest, asked: Asked): Promise<Image> }
  readonly blobs: Blobs
  /** What a name without a platform means: the first, or an index of all for a client that takes one. */
  readonly platforms: readonly Platform[]
  /** Hears of each manifest that is given: what it refers to is in use. */
  readonly onUse?: ((digest: Digest) => void) | undefined
}

// containerd takes no manifest above 4·1048·1048 bytes (core/remotes/docker/resolver.go).
const largestManifest = 4_393_216

/**
 * Answers with the manifest that a name means to this client.
 * @param limit milliseconds that the client can wait for a build; for ever if undefined
 * @throws what building throws, PRECONDITION_FAILED
 */
export async function imageReply(
  deps: ManifestDeps,
  ask: Ask,
  request: ImageRequest,
  limit: number | undefined,
): Promise<Reply> {
  let { digest, mediaType } = await byName(deps, ask, request, limit)
  let bytes = await deps.blobs.readSmall(digest, largestManifest)
  if (!bytes) {
    // Another process has cleaned up since this one last looked: now it knows.
    ;({ digest, mediaType } = await byName(deps, ask, request, limit))
    bytes = await deps.blobs.readSmall(digest, largestManifest)
  }
  if (!bytes) throw unknown()
  deps.onUse?.(digest)
  const etag = `"${digest}"`
  const common = { ...headersOf(digest, etag), 'Cache-Control': 'no-cache', Vary: 'Accept' }
  if (isKnown(ask, etag)) return { status: 304, headers: common, body: undefined }
  return found(common, mediaType, bytes)
}

/**
 * Answers with a manifest by its digest, whatever the client accepts: it is what it is.
 * @param digest undefined for one that is well-formed, but of an algorithm that nothing here has
 * @throws MANIFEST_UNKNOWN, PRECONDITION_FAILED, and what the store throws
 */
export async function manifestReply(
  deps: ManifestDeps,
  ask: Ask,
  digest: Digest | undefined,
): Promise<Reply> {
  const bytes = digest && (await deps.blobs.readSmall(digest, largestManifest))
  const mediaType = bytes && typeOf(digest, bytes)
  if (!bytes || mediaType === undefined) throw unknown()
  deps.onUse?.(digest)
  const etag = `"${digest}"`
  const common = { ...headersOf(digest, etag), 'Cache-Control': immutable }
  if (isKnown(ask, etag)) return { status: 304, headers: common, body: undefined }
  return found(common, mediaType, bytes)
}

const headersOf = (digest: Digest, etag: string) => ({
  ...registryHeaders,
  'Docker-Content-Digest': digest,
  ETag: etag,
})

const found = (common: Readonly<Record<string, string>>, mediaType: string, bytes: Uint8Array): Reply => ({
  status: 200,
  headers: { ...common, 'Content-Type': mediaType, 'Content-Length': String(bytes.length) },
  body: bytes,
})

const unknown = () => new NixeryError('MANIFEST_UNKNOWN', 'no manifest has this digest')

async function byName(
  { builder, blobs, platforms }: ManifestDeps,
  ask: Ask,
  request: ImageRequest,
  limit: number | undefined,
): Promise<{ digest: Digest; mediaType: string }> {
  const wanted = request.platformNamed || platforms.length === 0 ? [request.platform] : platforms
  const { kind, form } = chooseAnswer(ask.header('accept'), wanted.length > 1)
  const leave = new AbortController()
  const asked = { id: ask.id, signal: AbortSignal.any([ask.signal(), leave.signal]), limit }
  const build = (platform: Platform, together?: OneRevision) =>
    builder.build({ ...request, platform }, { ...asked, ...(together && { together }) })
  const mediaType = mediaTypes[form][kind]
  if (kind === 'index' && wanted.length > 1) {
    const together = createOneRevision(wanted.length)
    const built = imagesOf(wanted, (platform) => build(platform, together))
    const images = await built.catch((error: unknown) => {
      // Nobody waits for the others any more. When the client is told to retry, each build learns of it by itself.
      if (!hasCode(error, 'STILL_BUILDING')) leave.abort()
      throw error
    })
    const index = await publishIndex(blobs, form, images)
    return { digest: index.digest, mediaType }
  }
  const platform = wanted[0] ?? request.platform
  // With one platform for all names, a message has no need to name it.
  const isOneOfSeveral = request.platformNamed || wanted.length > 1
  const image = await build(platform).catch((error: unknown) => {
    throw isOneOfSeveral ? onPlatforms([platform], error) : error
  })
  if (kind === 'manifest') return { digest: image.manifests[form].digest, mediaType }
  const index = await publishIndex(blobs, form, [{ platform, image }])
  return { digest: index.digest, mediaType }
}

// What says that a blob is a manifest is one, or not, for ever.
const types = new LRUCache<Digest, { readonly type: string | undefined }>({ max: 10_000 })
const known: readonly string[] = Object.values(mediaTypes).flatMap(({ manifest, index }) => [manifest, index])

/** Manifests and other blobs lie side by side in the store; what says that it is a manifest is one. */
function typeOf(digest: Digest, bytes: Buffer): string | undefined {
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
    return undefined // not JSON, so no manifest
  }
}
