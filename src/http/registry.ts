import { hasCode, NixeryError, systemErrorCode } from '../errors.ts'
import type { Action, Subject } from '../access/may.ts'
import type { Digest } from '../image/digest.ts'
import { authorize, type AuthorizeDeps } from './authorize.ts'
import { blobReply, type BlobDeps } from './blob-responses.ts'
import { errorReply } from './errors.ts'
import { isHeld, isHeldManifest, type HeldDeps } from './held.ts'
import type { PublicTexts } from '../text/public.ts'
import { privately } from './private.ts'
import { imageReply, manifestReply, type ManifestDeps } from './manifests.ts'
import type { RequestQuotas } from './quotas.ts'
import { referrersReply, referrersTagReply, type Referrers } from './referrers.ts'
import { textReply, type Reply, type RoutedReply } from './reply.ts'
import type { HttpRequest } from './request.ts'
import { severalAuthorizations } from './validity.ts'
import type { Waiting } from './waiting.ts'
import { createRoutes, type RequestKind, type Route } from './route.ts'
import { catalogReply, tagsReply, type TagDeps } from './tags.ts'

export type RegistryDeps = ManifestDeps &
  BlobDeps &
  TagDeps &
  AuthorizeDeps &
  HeldDeps & {
    /** Parses paths; by default, without the operator's words in names. */
    readonly routeOf?: ReturnType<typeof createRoutes> | undefined
    /** The page with the log of a failed build, if any. */
    readonly pageOf?:
      | ((error: unknown, host: string | undefined, secure: boolean) => string | undefined)
      | undefined
    /** Whether this server itself terminates TLS. */
    readonly secure?: boolean | undefined
    /** Which texts of failures may be shown. */
    readonly texts: PublicTexts
    /** Removes names of packages that this client may not know from a failure. */
    readonly shown?: ((request: HttpRequest, error: unknown) => unknown) | undefined
    readonly referrers?: Referrers | undefined
    readonly waiting?: Waiting | undefined
    /** Whether `_catalog` lists the names of pulled images. */
    readonly listNames?: boolean | undefined
  }

const plainRoutes = createRoutes()

/** The permission that each route needs. The tags of a name are part of the name. */
const actions: Readonly<Record<Route['kind'], Action>> = {
  ping: 'pull',
  image: 'pull',
  manifest: 'pull',
  blob: 'pull',
  tags: 'pull',
  referrers: 'pull',
  referrersTag: 'pull',
  attachedTag: 'pull',
  catalog: 'list',
}

/** A route is its own subject, to avoid an allocation. */
const subjectOf = (route: Route): Subject => ('imageRequest' in route ? route : 'server')

/**
 * The reply to a request at or below `/v2`: synchronous if nothing must be awaited, for example for a known image. Does
 * not fail: failures are replies.
 */
export function registryReply(deps: RegistryDeps, request: HttpRequest): RoutedReply | Promise<RoutedReply> {
  let kind: RequestKind = 'unreadable'
  const routed = (reply: Reply): RoutedReply => ({ kind, reply: deps.guard ? privately(reply) : reply })
  const failed = (error: unknown): RoutedReply => routed(failureReply(deps, request, error))
  try {
    const route = (deps.routeOf ?? plainRoutes)(request.method, request.path)
    kind = route.kind
    const allowed = authorize(deps, request, actions[kind], subjectOf(route))
    const reply = allowed
      ? allowed.then(() => routeReply(deps, request, route))
      : routeReply(deps, request, route)
    const { quotas } = deps
    // The identity is known, unless verification is asynchronous.
    if (quotas && (kind === 'image' || kind === 'manifest') && (allowed || quotas.has(request))) {
      return withQuota(quotas, request, Promise.resolve(reply).then(routed, failed))
    }
    return reply instanceof Promise ? reply.then(routed, failed) : routed(reply)
  } catch (error) {
    return failed(error)
  }
}

/** Adds the remaining quota of the client to a manifest reply, like Docker Hub. */
async function withQuota(
  quotas: RequestQuotas,
  request: HttpRequest,
  pending: Promise<RoutedReply>,
): Promise<RoutedReply> {
  const { kind, reply } = await pending
  const headers = { ...reply.headers, ...(await quotas.headers(request)) }
  return { kind, reply: { ...reply, headers } }
}

/** A blob, whose bytes count against the quota. A redirect, such as to a bucket, counts as the whole blob. */
async function countedBlob(
  deps: RegistryDeps,
  quotas: RequestQuotas,
  request: HttpRequest,
  digest: Digest | undefined,
): Promise<Reply> {
  if (request.method === 'GET') await quotas.checkBytes(request)
  const reply = await blobReply(deps, request, digest)
  const isElsewhere = reply.status === 307 || 'X-Accel-Redirect' in reply.headers
  if (isElsewhere && digest) await quotas.addBytes(request, (await deps.blobs.find(digest)) ?? 0)
  return reply
}

/** The reply to a failure before or while the body is opened. */
export function failureReply(
  deps: Pick<RegistryDeps, 'waiting' | 'texts' | 'pageOf' | 'secure' | 'guard' | 'audit' | 'shown'>,
  request: HttpRequest,
  failure: unknown,
): Reply {
  const error = deps.shown ? deps.shown(request, failure) : failure
  const { waiting, texts, pageOf, secure = false, guard, audit } = deps
  if (audit && isRefused(error)) audit({ event: 'refused', request, error })
  if (waiting && hasCode(error, 'STILL_BUILDING')) return waiting.reply(error, request)
  if (guard && hasCode(error, 'UNAUTHENTICATED')) {
    return errorReply(error, texts, { headers: { 'WWW-Authenticate': guard.challenge(request, error) } })
  }
  const page = pageOf?.(
    failure,
    request.header('host'),
    secure || request.header('x-forwarded-proto') === 'https',
  )
  return errorReply(isExhaustion(error) ? exhausted(error) : error, texts, { page })
}

/** Whether a client was refused. Every login starts with a challenge, which is not a refusal. */
const isRefused = (error: unknown): boolean =>
  hasCode(error, 'UNAUTHENTICATED')
    ? error.detail !== undefined
    : error === severalAuthorizations || hasCode(error, 'ACCESS_DENIED', 'RATE_LIMITED', 'QUOTA_EXCEEDED')

/** Whether file descriptors ran out: then the failure says nothing about what was requested, whatever its code. */
function isExhaustion(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = systemErrorCode(cause)
    if (code === 'EMFILE' || code === 'ENFILE') return true
  }
  return false
}

const exhausted = (cause: unknown) =>
  new NixeryError('STORE_UNAVAILABLE', 'the server has reached its limit of open files', {
    cause,
    hint: 'try again in a few seconds, or raise the limit of open files',
  })

function routeReply(deps: RegistryDeps, request: HttpRequest, route: Route): Promise<Reply> | Reply {
  switch (route.kind) {
    case 'ping':
      return textReply(200, 'application/json', '{}')
    case 'image':
      return imageReply(deps, request, route.imageRequest)
    case 'manifest':
      return deps.holdings
        ? isHeldManifest(deps, route).then((held) => manifestReply(deps, request, heldDigest(route, held)))
        : manifestReply(deps, request, route.digest)
    case 'blob': {
      const held = isHeld(deps, route)
      return held instanceof Promise
        ? held.then((one) => blobOf(deps, request, heldDigest(route, one)))
        : blobOf(deps, request, heldDigest(route, held))
    }
    case 'tags':
      return tagsReply(deps, request, route.name, route.imageRequest)
    case 'referrers':
      return referrersReply(ofHeld(deps, route), request, route.digest)
    case 'referrersTag':
      return referrersTagReply(ofHeld(deps, route), route.digest)
    case 'attachedTag':
      throw new NixeryError('MANIFEST_UNKNOWN', 'this manifest has no attachments')
    case 'catalog':
      if (deps.listNames !== true)
        throw new NixeryError('ROUTE_UNKNOWN', 'this registry does not list its images')
      return catalogReply(deps, request, deps.guard && visibleTo(deps, request))
  }
}

/** A blob, counted against the quotas of the client. */
const blobOf = (
  deps: RegistryDeps,
  request: HttpRequest,
  digest: Digest | undefined,
): Promise<Reply> | Reply =>
  deps.quotas ? countedBlob(deps, deps.quotas, request, digest) : blobReply(deps, request, digest)

/** Which names of images a client sees: those that it may pull. */
const visibleTo =
  ({ may, routeOf = plainRoutes }: RegistryDeps, { identity }: HttpRequest) =>
  (name: string): boolean => {
    try {
      return may(identity, 'pull', subjectOf(routeOf('GET', `/v2/${name}/tags/list`)))
    } catch {
      return false // written by a version that accepted more names than this one
    }
  }

/** Content that is not part of an image with this name is reported as missing. */
const heldDigest = ({ digest }: { digest: Digest | undefined }, held: boolean): Digest | undefined =>
  held ? digest : undefined

/** The referrers of a manifest that is part of an image with this name. */
const ofHeld =
  (deps: RegistryDeps, route: Parameters<typeof isHeldManifest>[1]): Referrers =>
  async (subject) =>
    (await isHeldManifest(deps, route)) ? (deps.referrers ?? none)(subject) : []

const none: Referrers = () => Promise.resolve([])
