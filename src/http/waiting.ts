import { hasCode, NixeryError } from '../errors.ts'
import { errorReply } from './errors.ts'
import type { PublicTexts } from '../text/public.ts'
import type { Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'

/** How long a client waits, and its retry response. Times are milliseconds unless stated otherwise. */
export type Patience = {
  /** How long one request may wait for a build. */
  readonly limit: number
  /** The status on which this client retries. */
  readonly status: 429 | 503
}

/** The headers that identify the kind of client, as sent. */
export type Client = { readonly userAgent: string | undefined; readonly accept: string | undefined }

// Seconds. containerd ignores it and retries at once.
const retryAfter = 5

// containerd stops waiting for response headers after 30 s (since 2.3), and retries a 429 at once, five times.
const likeContainerd: Patience = { limit: 25_000, status: 429 }

// docs/waiting.md lists the total wait of each client.
const kinds: readonly (readonly [agent: RegExp, Patience])[] = [
  // BuildKit and nerdctl resolve names with containerd's code.
  [/^(containerd|buildkit|nerdctl)\//, likeContainerd],
  // containers/image has no limit for headers. It tries five times, and honors Retry-After in between.
  [/^(skopeo|libpod|buildah|cri-o|containers)\/|containers\/image/i, { limit: 240_000, status: 429 }],
  // go-containerregistry retries a 503 twice, but a 429 only since 2026.
  [/go-containerregistry|^(crane|ko|kaniko)\//, { limit: 240_000, status: 503 }],
  // oras-go and regclient back off on a 429, five and three times.
  [/^(oras|oras-go|helm|regclient)\//i, { limit: 240_000, status: 429 }],
  // Docker's own puller has no limit, retries nothing, and shows the message of a 429.
  [/^docker\//, { limit: 900_000, status: 429 }],
]

// Proxies and clients without a known User-Agent often give up after a minute.
const unknown: Patience = { limit: 50_000, status: 429 }

/**
 * How long this client waits, and on which status it retries.
 * @param seconds the operator's setting for all clients, if any
 */
export function patienceOf({ userAgent = '', accept = '' }: Client, seconds: number | undefined): Patience {
  const kind = kinds.find(([agent]) => agent.test(userAgent))?.[1] ?? unknown
  // With containerd's image store, Docker's default since 29, containerd's code resolves names with Docker's
  // User-Agent; only that one accepts any media type.
  const isContainerd = userAgent.startsWith('docker/') && /\*\/\*/.test(accept)
  const patience = isContainerd ? likeContainerd : kind
  return seconds === undefined ? patience : { ...patience, limit: seconds * 1000 }
}

/** How long requests wait for builds, and the reply after that time. */
export type Waiting = {
  /** Milliseconds; undefined for no limit. */
  limit(request: HttpRequest): number | undefined
  /** The retry response for a request whose build continues without it (STILL_BUILDING). */
  reply(error: NixeryError, request: HttpRequest): Reply
}

export type WaitingOptions = {
  /** Seconds for all clients, if configured. */
  readonly maxWait: number | undefined
  /**
   * Returns the full URL of a build's page, for a client that sent this Host header. Undefined if there are no pages;
   * then responses contain no links.
   */
  readonly page?: ((build: string, host: string | undefined, secure: boolean) => string) | undefined
  /** Which texts of failures may be shown. */
  readonly texts: PublicTexts
  /** Whether this server itself terminates TLS. */
  readonly secure: boolean
}

/** How requests wait for builds. */
export function createWaiting({ maxWait, page, secure, texts }: WaitingOptions): Waiting {
  const patience = (request: HttpRequest) =>
    patienceOf({ userAgent: request.header('user-agent'), accept: request.header('accept') }, maxWait)
  return {
    limit: (request) => patience(request).limit,
    reply(error, request) {
      const build = page && hasCode(error, 'STILL_BUILDING') ? buildOf(error) : undefined
      // Set by a proxy that terminates TLS. Other clients that set it only change their own responses.
      const viaTls = secure || request.header('x-forwarded-proto') === 'https'
      const failure = new NixeryError(
        'STILL_BUILDING',
        build === undefined
          ? 'the package set is still being fetched, and the image is built after that: pull again to get it'
          : 'the image is still being built, and the build continues: pull again to get it',
        {
          cause: error,
          ...(page &&
            build !== undefined && {
              hint: `watch it at ${page(build, request.header('host'), viaTls)}`,
              detail: { build },
            }),
        },
      )
      return errorReply(failure, texts, {
        status: patience(request).status,
        headers: headersOf(failure, build),
      })
    },
  }
}

/** podman and skopeo show `Warning` while they wait (distribution spec, "Warnings"). */
function headersOf({ message, hint }: NixeryError, build: string | undefined): Record<string, string> {
  const text = hint === undefined ? message : `${message} (${hint})`
  return {
    'Retry-After': String(retryAfter),
    'Cache-Control': 'no-store',
    ...(build !== undefined && { Link: `</builds/${build}>; rel="status"` }),
    Warning: `299 - "${quotable(text)}"`,
  }
}

/** Only this program's own texts get here; what would end the quoted string is removed all the same. */
const quotable = (text: string): string => text.replace(/[^\x20-\x7e]|["\\]/g, '').slice(0, 1000)

function buildOf({ detail }: NixeryError<'STILL_BUILDING'>): string | undefined {
  const build = detail?.build
  return build !== undefined && uuid.test(build) ? build : undefined
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
