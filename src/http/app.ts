import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { Blobs } from '../build/blobs.ts'
import type { Builder } from '../build/build.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { publishIndex } from '../build/image.ts'
import { chooseForm, chooseIndexForm } from '../image/accept.ts'
import type { Digest } from '../image/digest.ts'
import type { ImageRequest } from '../image/name.ts'
import { mediaTypes } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import type { BlobStore } from '../store/store.ts'
import { errorReply } from './errors.ts'
import { parseRange } from './range.ts'
import { parseRoute, type Route } from './route.ts'

/** A request that was answered. `path` and `userAgent` are as the client sent them: data only. */
export type Answered = {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly ms: number
  readonly userAgent: string | undefined
  readonly error?: unknown
}

export type AppDeps = {
  readonly builder: Builder
  readonly blobs: Blobs
  readonly store: BlobStore
  /** What a name without a platform means: the first, or an index of all for a client that takes one. */
  readonly platforms: readonly Platform[]
  /** Answers whatever is not the registry's: pages for people. */
  readonly pages: { fetch(request: Request): Response | Promise<Response> }
  readonly listener: (answered: Answered) => void
}

type Env = { Bindings: Partial<HttpBindings>; Variables: { requestId: string } }

// containerd takes no manifest above 4·1048·1048 bytes (core/remotes/docker/resolver.go).
const largestManifest = 4_393_216
const immutable = 'public, max-age=31536000, immutable'

/** The registry as a value: `app.fetch(request)` answers, with or without a server around it. */
export function createApp(deps: AppDeps): Hono<Env> {
  const app = new Hono<Env>()

  app.use(async (c, next) => {
    const started = performance.now()
    const id = randomUUID()
    c.set('requestId', id)
    await next()
    c.res.headers.set('X-Request-Id', id)
    const { pathname } = new URL(c.req.url)
    deps.listener({
      id,
      method: c.req.method,
      path: pathname,
      status: c.res.status,
      ms: performance.now() - started,
      userAgent: c.req.header('User-Agent'),
      ...(c.error && { error: c.error }),
    })
  })

  app.all('/v2', (c) => c.redirect('/v2/', 301))
  app.all('/v2/*', (c) => {
    const { method, url } = c.req.raw
    const route = parseRoute(method, new URL(url).pathname)
    return answer(deps, route, c.req.raw, { id: c.get('requestId'), signal: closed(c.env) })
  })
  app.all('*', (c) => deps.pages.fetch(c.req.raw))
  app.onError((error, c) => {
    const { status, body } = errorReply(error)
    return new Response(c.req.method === 'HEAD' ? null : body, {
      status,
      headers: { ...registryHeaders, ...errorHeaders(error, body) },
    })
  })
  return app
}

const registryHeaders = { 'Docker-Distribution-Api-Version': 'registry/2.0' }

function errorHeaders(error: unknown, body: string): Record<string, string> {
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
  }
  if (hasCode(error, 'UNSUPPORTED')) headers['Allow'] = 'GET, HEAD'
  if (hasCode(error, 'RANGE_INVALID'))
    headers['Content-Range'] = `bytes */${(error.detail as { size: number }).size}`
  if (hasCode(error, 'STORE_UNAVAILABLE', 'STORE_FULL', 'CANCELLED', 'SOURCE_UNREACHABLE', 'NIX_UNAVAILABLE'))
    headers['Retry-After'] = '10'
  return headers
}

async function answer(
  deps: AppDeps,
  route: Route,
  request: Request,
  caller: { id: string; signal: AbortSignal },
): Promise<Response> {
  const head = request.method === 'HEAD'
  switch (route.kind) {
    case 'ping':
      return new Response(head ? null : '{}', {
        headers: { ...registryHeaders, 'Content-Type': 'application/json', 'Content-Length': '2' },
      })
    case 'image': {
      const digest = await byName(deps, route.request, request.headers.get('Accept') ?? undefined, caller)
      return manifest(deps, digest, { head, cache: 'no-cache' })
    }
    case 'manifest':
      return manifest(deps, route.digest, { head, cache: immutable })
    case 'blob':
      return blob(deps, route.digest, request)
  }
}

/** The manifest that a name means to this client: of its platform, or an index of all that are configured. */
async function byName(
  { builder, blobs, platforms }: AppDeps,
  request: ImageRequest,
  accept: string | undefined,
  caller: { id: string; signal: AbortSignal },
): Promise<Digest> {
  const [first = request.platform] = platforms
  const build = async (platform: Platform) => ({
    platform,
    image: await builder.build({ ...request, platform }, caller),
  })
  const indexForm = chooseIndexForm(accept)
  if (!request.platformNamed && platforms.length > 1 && indexForm !== undefined) {
    const index = await publishIndex(blobs, indexForm, await Promise.all(platforms.map(build)))
    return index.digest
  }
  const { image } = await build(request.platformNamed ? request.platform : first)
  return image.manifests[chooseForm(accept)].digest
}

async function manifest(deps: AppDeps, digest: Digest, { head, cache }: { head: boolean; cache: string }) {
  const bytes = await deps.blobs.readSmall(digest, largestManifest)
  const mediaType = bytes && manifestType(bytes)
  if (!bytes || mediaType === undefined)
    throw new NixeryError('MANIFEST_UNKNOWN', 'no manifest has this digest')
  return new Response(head ? null : new Uint8Array(bytes), {
    headers: {
      ...registryHeaders,
      'Content-Type': mediaType,
      'Content-Length': String(bytes.length),
      'Docker-Content-Digest': digest,
      ETag: `"${digest}"`,
      'Cache-Control': cache,
      Vary: 'Accept',
    },
  })
}

/** Manifests and other blobs lie side by side in the store; what says that it is a manifest is one. */
function manifestType(bytes: Buffer): string | undefined {
  try {
    const json: unknown = JSON.parse(bytes.toString())
    const type = json !== null && typeof json === 'object' && 'mediaType' in json ? json.mediaType : undefined
    const known: string[] = Object.values(mediaTypes).flatMap(({ manifest: one, index }) => [one, index])
    return known.find((each) => each === type)
  } catch {
    return undefined // not JSON, so no manifest
  }
}

async function blob(deps: AppDeps, digest: Digest, request: Request): Promise<Response> {
  const size = await deps.blobs.find(digest)
  if (size === undefined) throw new NixeryError('BLOB_UNKNOWN', 'no blob has this digest')
  // An address that is signed for GET would fail for HEAD, and what HEAD asks is known here.
  const location = request.method === 'GET' ? await deps.store.redirectUrl?.(digest) : undefined
  if (location !== undefined) {
    return new Response(null, {
      status: 307,
      headers: {
        ...registryHeaders,
        Location: location,
        'Content-Length': '0',
        'Docker-Content-Digest': digest,
        'Cache-Control': 'no-store', // a signature expires
      },
    })
  }
  const range = parseRange(request.headers.get('Range') ?? undefined, size)
  const headers: Record<string, string> = {
    ...registryHeaders,
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(range ? range.end - range.start : size),
    'Docker-Content-Digest': digest,
    'Accept-Ranges': 'bytes',
    ETag: `"${digest}"`,
    'Cache-Control': immutable,
  }
  if (range) headers['Content-Range'] = `bytes ${range.start}-${range.end - 1}/${size}`
  const status = range ? 206 : 200
  // Before anything is opened: the stream of a HEAD would never be read, and never closed.
  if (request.method === 'HEAD') return new Response(null, { status, headers })
  const stream = await deps.store.read(digest, range)
  return new Response(Readable.toWeb(stream) as ReadableStream<Uint8Array>, { status, headers })
}

/** Fires when the client's connection closes before the answer was sent. */
function closed({ outgoing }: Partial<HttpBindings> = {}): AbortSignal {
  const abort = new AbortController()
  outgoing?.once('close', () => abort.abort())
  return abort.signal
}
