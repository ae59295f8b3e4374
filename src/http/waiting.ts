import { hasCode, NixeryError } from '../errors.ts'
import { errorReply } from './errors.ts'
import type { PublicTexts } from '../text/public.ts'
import type { Waiting } from './registry.ts'
import type { HttpRequest } from './request.ts'

/** How long a client waits, and its retry response. Times are milliseconds unless stated otherwise. */
export type Patience = {
  /** How long one request may wait for a build. */
  readonly limit: number
  /** The status on which this client retries. */
  readonly status: 429 | 503
}

/** What identifies the kind of client, as sent: data only. */
export type Client = { readonly userAgent: string | undefined; readonly accept: string | undefined }

// Seconds. containerd ignores it and retries at once.
const retryAfter = 5

// containerd gives up on a response's headers after 30 s (since 2.3), and repeats a 429 at once, five times.
const likeContainerd: Patience = { limit: 25_000, status: 429 }

// docs/waiting.md has the total that each waits.
const kinds: readonly (readonly [agent: RegExp, Patience])[] = [
  // BuildKit and nerdctl resolve names with containerd's code.
  [/^(containerd|buildkit|nerdctl)\//, likeContainerd],
  // containers/image has no limit for headers. It tries five times, and waits between as Retry-After says.
  [/^(skopeo|libpod|buildah|cri-o|containers)\/|containers\/image/i, { limit: 240_000, status: 429 }],
  // go-containerregistry repeats a 503 twice, but a 429 only since 2026.
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
  // With containerd's image store, which is Docker's default since 29, it is containerd's code that asks for names,
  // under Docker's name; only that one takes anything.
  const isContainerd = userAgent.startsWith('docker/') && /\*\/\*/.test(accept)
  const patience = isContainerd ? likeContainerd : kind
  return seconds === undefined ? patience : { ...patience, limit: seconds * 1000 }
}

export type WaitingOptions = {
  /** Seconds for all clients, if the operator sets it. */
  readonly maxWait: number | undefined
  /**
   * The full address of a build's page, for a client that came by this Host header, as it was sent. Without it there
   * are no pages, and answers have no links.
   */
  readonly page?: ((build: string, host: string | undefined, secure: boolean) => string) | undefined
  /** Which texts of failures may be shown. */
  readonly texts: PublicTexts
  /** Whether clients speak TLS with this server itself. */
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
      // Set by a proxy that terminates TLS. Any other client that sets it only changes its own response.
      const viaTls = secure || request.header('x-forwarded-proto') === 'https'
      const failure = new NixeryError(
        'STILL_BUILDING',
        build === undefined
          ? 'the package set is still being fetched, and the image is built after that: pull again to get it'
          : 'the image is still being built, and the build goes on: pull again to get it',
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

/** `Warning` is what podman and skopeo show while they wait (distribution spec, "Warnings"). */
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
