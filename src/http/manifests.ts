import { randomUUID } from 'node:crypto'
import type { Blobs } from '../builds/blobs.ts'
import { buildImage, type BuildOptions } from '../builds/builds.ts'
import type { Holdings } from '../builds/holdings.ts'
import { publishIndex, type Image } from '../builds/image.ts'
import { notReady } from '../builds/not-ready.ts'
import { hasCode, isNixeryError, NixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import type { ImageRequest } from '../image/name.ts'
import { mediaTypes } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import { buildsFor, type CausedDeps } from './caused-builds.ts'
import { isKnown } from './conditional.ts'
import { choiceOf } from './accept.ts'
import { largestManifest, typeOf } from './manifest-type.ts'
import { imagesOf, onPlatforms } from './platforms.ts'
import { immutable, registryHeaders, type Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'
import type { Waiting } from './waiting.ts'

export type ManifestDeps = CausedDeps & {
  readonly blobs: Blobs
  /** How long clients wait for builds; without it, until the build ends. */
  readonly waiting?: Pick<Waiting, 'limit'> | undefined
  /** Records which images were served under which names. */
  readonly holdings?: Pick<Holdings, 'note'> | undefined
  /** The platforms of a name without one: clients that accept an index get one of all, others the first. */
  readonly platforms: readonly Platform[]
  /** The same by package set; `undefined` is the default set. */
  readonly platformsOf?: ((set: string | undefined) => readonly Platform[]) | undefined
  /** Whether a client may cause the build of an image; by default, everyone may. */
  readonly mayBuild?: ((request: HttpRequest, imageRequest: ImageRequest) => boolean) | undefined
  /** Called for each served manifest: the blobs that it refers to are in use. */
  readonly onUse?: ((digest: Digest) => void) | undefined
}

/**
 * Responds with the manifest that a name means for this client.
 * @throws what building throws, PRECONDITION_FAILED
 */
export function imageReply(
  deps: ManifestDeps,
  request: HttpRequest,
  imageRequest: ImageRequest,
): Reply | Promise<Reply> {
  const { builds, blobs } = deps
  const platforms = platformsFor(deps, imageRequest)
  const wanted = imageRequest.platformNamed ? imageRequest.platform : (platforms[0] ?? imageRequest.platform)
  const { kind, form } = choiceOf(request, imageRequest, platforms)
  const image = kind === 'manifest' ? builds.known(onPlatform(imageRequest, wanted)) : undefined
  if (!image) return builtReply(deps, request, imageRequest)
  deps.holdings?.note(imageRequest, image)
  const named = { digest: image.manifests[form].digest, mediaType: mediaTypes[form].manifest }
  const bytes = blobs.smallInMemory(named.digest)
  return bytes ? namedReply(deps, request, named, bytes) : builtReply(deps, request, imageRequest, named)
}

const platformsFor = ({ platforms, platformsOf }: ManifestDeps, { set }: ImageRequest) =>
  platformsOf?.(set) ?? platforms

/** A manifest and its media type. */
type Named = { readonly digest: Digest; readonly mediaType: string }

/** The asynchronous version. @param known the image, if it is already known */
async function builtReply(
  deps: ManifestDeps,
  request: HttpRequest,
  imageRequest: ImageRequest,
  known?: Named,
): Promise<Reply> {
  let { digest, mediaType } = known ?? (await byName(deps, request, imageRequest))
  let bytes = await deps.blobs.readSmall(digest, largestManifest)
  if (!bytes) {
    // Another process has deleted it. The failed read was recorded, so the image is built again.
    ;({ digest, mediaType } = await byName(deps, request, imageRequest))
    bytes = await deps.blobs.readSmall(digest, largestManifest)
  }
  if (!bytes) throw unknown()
  return namedReply(deps, request, { digest, mediaType }, bytes)
}

function namedReply(
  deps: ManifestDeps,
  request: HttpRequest,
  { digest, mediaType }: Named,
  bytes: Uint8Array,
): Reply {
  deps.onUse?.(digest)
  const etag = `"${digest}"`
  const replies = repliesOf(bytes, mediaType, digest, etag)
  return isKnown(request, etag) ? replies.notModified : replies.ok
}

/**
 * Responds with a manifest by its digest, regardless of what the client accepts.
 * @param digest undefined for a well-formed digest with an unsupported algorithm
 * @throws MANIFEST_UNKNOWN, PRECONDITION_FAILED, and what the store throws
 */
export async function manifestReply(
  deps: ManifestDeps,
  request: HttpRequest,
  digest: Digest | undefined,
): Promise<Reply> {
  const bytes = digest && (await deps.blobs.readSmall(digest, largestManifest))
  const mediaType = bytes && typeOf(digest, bytes)
  if (!bytes || mediaType === undefined) throw unknown()
  deps.onUse?.(digest)
  const etag = `"${digest}"`
  const common = { ...headersOf(digest, etag), 'Cache-Control': immutable }
  if (isKnown(request, etag)) return { status: 304, headers: common, body: undefined }
  return okReply(common, mediaType, bytes)
}

const headersOf = (digest: Digest, etag: string) => ({
  ...registryHeaders,
  'Docker-Content-Digest': digest,
  ETag: etag,
})

const okReply = (common: Readonly<Record<string, string>>, mediaType: string, bytes: Uint8Array): Reply => ({
  status: 200,
  headers: { ...common, 'Content-Type': mediaType, 'Content-Length': String(bytes.length) },
  body: bytes,
})

// Cached manifests stay the same objects for a while, so their replies are built once.
const replies = new WeakMap<Uint8Array, Map<string, Replies>>()
type Replies = { readonly ok: Reply; readonly notModified: Reply }

/** The replies with a manifest found by name, by its bytes and its media type. */
function repliesOf(bytes: Uint8Array, mediaType: string, digest: Digest, etag: string): Replies {
  const ofBytes = replies.get(bytes) ?? new Map<string, Replies>()
  replies.set(bytes, ofBytes)
  const last = ofBytes.get(mediaType)
  if (last) return last
  const common = { ...headersOf(digest, etag), 'Cache-Control': 'no-cache', Vary: 'Accept' }
  const made = {
    ok: okReply(common, mediaType, bytes),
    notModified: { status: 304, headers: common, body: undefined },
  }
  ofBytes.set(mediaType, made)
  return made
}

const unknown = () => new NixeryError('MANIFEST_UNKNOWN', 'no manifest has this digest')

/**
 * The image of a name for this client, built if necessary and if the client may build. Clients that may not build
 * cannot find out anything about missing images: neither whether the packages exist nor whether they can be built.
 * @throws NOT_READY
 */
async function byName(deps: ManifestDeps, request: HttpRequest, imageRequest: ImageRequest): Promise<Named> {
  if (deps.mayBuild?.(request, imageRequest) !== false) {
    return builtByName(deps, request, imageRequest, { limit: deps.waiting?.limit(request) })
  }
  return builtByName(deps, request, imageRequest, { readyOnly: true }).catch((cause: unknown) => {
    throw isNixeryError(cause) && !hasCode(cause, ...ofServer) ? notReady() : cause
  })
}

/** Failures that are not related to the image. */
const ofServer = [
  'STORE_UNAVAILABLE',
  'STORE_FULL',
  'OVERLOADED',
  'CANCELLED',
  'PRECONDITION_FAILED',
] as const

async function builtByName(
  deps: ManifestDeps,
  request: HttpRequest,
  imageRequest: ImageRequest,
  how: Pick<BuildOptions, 'limit' | 'readyOnly'>,
): Promise<Named> {
  const { blobs, holdings } = deps
  const builds = buildsFor(deps, request)
  const platforms = platformsFor(deps, imageRequest)
  const wanted = imageRequest.platformNamed || platforms.length === 0 ? [imageRequest.platform] : platforms
  const { kind, form } = choiceOf(request, imageRequest, platforms)
  const mediaType = mediaTypes[form][kind]
  const build = async (
    platform: Platform,
    signal: AbortSignal,
    group?: BuildOptions['group'],
  ): Promise<Image> => {
    const options = { requestId: request.id, ...how, signal, group }
    const image = await buildImage(builds, onPlatform(imageRequest, platform), options)
    holdings?.note(imageRequest, image)
    return image
  }
  if (kind === 'index' && wanted.length > 1) {
    const leave = new AbortController()
    const signal = AbortSignal.any([request.signal(), leave.signal])
    const group = { id: randomUUID(), size: wanted.length }
    const built = imagesOf(wanted, (platform) => build(platform, signal, group))
    const images = await built.catch((error: unknown) => {
      // The other builds have no client left. Each build gets the retry of the client separately.
      if (!hasCode(error, 'STILL_BUILDING')) leave.abort()
      throw error
    })
    const index = await publishIndex(blobs, form, images)
    return { digest: index.digest, mediaType }
  }
  const platform = wanted[0] ?? imageRequest.platform
  // With a single platform for all names, messages need not name it.
  const isOneOfSeveral = imageRequest.platformNamed || wanted.length > 1
  const image = await build(platform, request.signal()).catch((error: unknown) => {
    throw isOneOfSeveral ? onPlatforms([platform], error) : error
  })
  if (kind === 'manifest') return { digest: image.manifests[form].digest, mediaType }
  const index = await publishIndex(blobs, form, [{ platform, image }])
  return { digest: index.digest, mediaType }
}

// The same object for the same request, so that values derived from it are computed once.
const requests = new WeakMap<ImageRequest, Map<Platform, ImageRequest>>()

function onPlatform(imageRequest: ImageRequest, platform: Platform): ImageRequest {
  if (imageRequest.platform === platform) return imageRequest
  const ofRequest = requests.get(imageRequest) ?? new Map<Platform, ImageRequest>()
  requests.set(imageRequest, ofRequest)
  const last = ofRequest.get(platform)
  if (last) return last
  const made = { ...imageRequest, platform }
  ofRequest.set(platform, made)
  return made
}
