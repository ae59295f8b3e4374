import { hasCode, NixeryError, systemErrorCode } from '../errors.ts'
import { blobReply, type BlobDeps } from './blobs.ts'
import { errorReply } from './errors.ts'
import type { PublicTexts } from '../text/public.ts'
import { imageReply, manifestReply, type ManifestDeps } from './manifests.ts'
import { referrersReply, referrersTagReply, type Referrers } from './referrers.ts'
import { textReply, type Ask, type Reply } from './reply.ts'
import { createRoutes, type Route } from './route.ts'
import { catalogReply, tagsReply, type TagDeps } from './tags.ts'

/** How requests wait for builds: for how long, and what they are told when it was too long. */
export type Waiting = {
  /** Milliseconds; for ever if undefined. */
  limit(ask: Ask): number | undefined
  /** The answer for a request whose build goes on without it (STILL_BUILDING). */
  reply(error: NixeryError, ask: Ask): Reply
}

export type RegistryDeps = ManifestDeps &
  BlobDeps &
  TagDeps & {
    /** The page with the log of a build that failed, if there is one. */
    readonly pageOf?:
      | ((error: unknown, host: string | undefined, secure: boolean) => string | undefined)
      | undefined
    /** Whether clients speak TLS with this server itself. */
    readonly secure?: boolean | undefined
    /** What may be told of failures. */
    readonly texts: PublicTexts
    readonly referrers?: Referrers | undefined
    readonly waiting?: Waiting | undefined
    /** Whether `_catalog` tells the names of images that were pulled. */
    readonly listNames?: boolean | undefined
  }

/** What was asked for, as far as it could be read. */
export type Kind = Route['kind'] | 'unreadable'

const routeOf = createRoutes()

/** An answer, and what was asked for. */
export type Answer = { readonly kind: Kind; readonly reply: Reply }

/**
 * The answer to a request at or below `/v2`: at once where nothing has to be waited for, as for a known image. It does
 * not fail: failures are answers.
 */
export function registryReply(deps: RegistryDeps, ask: Ask): Answer | Promise<Answer> {
  let kind: Kind = 'unreadable'
  const failed = (error: unknown): Answer => ({ kind, reply: failureReply(deps, ask, error) })
  try {
    const route = routeOf(ask.method, ask.path)
    kind = route.kind
    const reply = answer(deps, ask, route)
    return reply instanceof Promise ? reply.then((one) => ({ kind, reply: one }), failed) : { kind, reply }
  } catch (error) {
    return failed(error)
  }
}

/** Every failure becomes an answer here, whether it comes before or when a body is opened. */
export function failureReply(
  { waiting, texts, pageOf, secure = false }: Pick<RegistryDeps, 'waiting' | 'texts' | 'pageOf' | 'secure'>,
  ask: Ask,
  error: unknown,
): Reply {
  if (waiting && hasCode(error, 'STILL_BUILDING')) return waiting.reply(error, ask)
  const page = pageOf?.(error, ask.header('host'), secure || ask.header('x-forwarded-proto') === 'https')
  return errorReply(isExhaustion(error) ? exhausted(error) : error, texts, { page })
}

/** Whether there were no file descriptors left: it says nothing about what was asked for, whatever was made of it. */
function isExhaustion(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const code = systemErrorCode(cause)
    if (code === 'EMFILE' || code === 'ENFILE') return true
  }
  return false
}

const exhausted = (cause: unknown) =>
  new NixeryError('STORE_UNAVAILABLE', 'the server cannot open more files for now', {
    cause,
    hint: 'try again in a few seconds; the operator can raise the limit of open files',
  })

function answer(deps: RegistryDeps, ask: Ask, route: Route): Promise<Reply> | Reply {
  const { referrers = none } = deps
  switch (route.kind) {
    case 'ping':
      return textReply(200, 'application/json', '{}')
    case 'image':
      return imageReply(deps, ask, route.request, () => deps.waiting?.limit(ask))
    case 'manifest':
      return manifestReply(deps, ask, route.digest)
    case 'blob':
      return blobReply(deps, ask, route.digest)
    case 'tags':
      return tagsReply(deps, ask, route.name, route.request)
    case 'referrers':
      return referrersReply(referrers, ask, route.digest)
    case 'referrersTag':
      return referrersTagReply(referrers, route.digest)
    case 'attachedTag':
      throw new NixeryError('MANIFEST_UNKNOWN', 'nothing is attached to this manifest')
    case 'catalog':
      if (deps.listNames !== true)
        throw new NixeryError('ROUTE_UNKNOWN', 'this registry does not list its images')
      return catalogReply(deps, ask)
  }
}

const none: Referrers = () => Promise.resolve([])
