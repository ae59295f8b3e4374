import { NixeryError } from '../errors.ts'
import { LRUCache } from 'lru-cache'
import { parseDigest, type Digest } from '../image/digest.ts'
import { isTag, noWords, parseImageName, tagRule, type ImageRequest, type Vocabulary } from '../image/name.ts'

/**
 * A route of the registry with its parameters: parsed once, trusted afterwards. A digest is undefined if it is
 * well-formed but has an unsupported algorithm.
 */
export type Route =
  | { readonly kind: 'ping' }
  | { readonly kind: 'image'; readonly imageRequest: ImageRequest }
  | { readonly kind: 'manifest'; readonly digest: Digest | undefined; readonly imageRequest: ImageRequest }
  | { readonly kind: 'blob'; readonly digest: Digest | undefined; readonly imageRequest: ImageRequest }
  | { readonly kind: 'tags'; readonly name: string; readonly imageRequest: ImageRequest }
  | { readonly kind: 'referrers'; readonly digest: Digest | undefined; readonly imageRequest: ImageRequest }
  /** The tag under which clients look for referrers of a manifest if they expect no referrers API. */
  | { readonly kind: 'referrersTag'; readonly digest: Digest; readonly imageRequest: ImageRequest }
  /** A tag under which tools store what they attach to a manifest. Always answered with 404. */
  | { readonly kind: 'attachedTag'; readonly imageRequest: ImageRequest }
  | { readonly kind: 'catalog' }

/** The kind of a request, for the log and metrics; `unreadable` if its path is not a route. */
export type RequestKind = Route['kind'] | 'token' | 'ops' | 'page' | 'unreadable'

const named = /^\/(?<name>.*)\/(?<kind>manifests|blobs|referrers|tags)\/(?<reference>[^/]*)$/s
const upload = /\/blobs\/uploads(?:\/[^/]*)?$/

/**
 * Reads the path of a request below `/v2/` (distribution spec, "Endpoints").
 * @param path as sent in the request, percent-encoded, without the query
 * @param vocabulary the operator's words in names
 * @throws NAME_INVALID, MANIFEST_UNKNOWN, DIGEST_INVALID, UNSUPPORTED, ROUTE_UNKNOWN
 */
export function parseRoute(method: string, path: string, vocabulary = noWords): Route {
  if (method !== 'GET' && method !== 'HEAD') {
    throw new NixeryError(
      'UNSUPPORTED',
      'this registry is read-only: images are built from their names, and cannot be pushed or deleted',
    )
  }
  const below = decode(path).slice('/v2'.length)
  if (below === '' || below === '/') return { kind: 'ping' }
  if (below === '/_catalog') return { kind: 'catalog' }
  const { name, kind, reference = '' } = named.exec(below)?.groups ?? {}
  if (name === undefined || upload.test(below) || (kind === 'tags' && reference !== 'list')) {
    throw new NixeryError('ROUTE_UNKNOWN', 'not found')
  }
  if (kind === 'manifests' && !reference.includes(':')) return parseTagged(name, reference, vocabulary)
  const request = parseImageName(name, undefined, vocabulary)
  if (kind === 'tags') return { kind: 'tags', name, imageRequest: request }
  const digest = parseAnyDigest(reference)
  if (kind === 'manifests') return { kind: 'manifest', digest, imageRequest: request }
  return { kind: kind === 'blobs' ? 'blob' : 'referrers', digest, imageRequest: request }
}

// About 2 kB each, with the name in its parts. Longer paths than a name can have without escapes are not cached.
const mostKept = 5000
const longestKept = 512

/** `parseRoute` with a cache for paths of images: the same path returns the same object. */
export function createRoutes(vocabulary = noWords): (method: string, path: string) => Route {
  const routes = new LRUCache<string, Route>({ max: mostKept })
  return (method, path) => {
    const last = method === 'GET' || method === 'HEAD' ? routes.get(path) : undefined
    if (last) return last
    const route = parseRoute(method, path, vocabulary)
    if (route.kind === 'image' && path.length <= longestKept) routes.set(path, route)
    return route
  }
}

// `sha256-<hex>` is defined by the spec ("Referrers Tag Schema"), those with a suffix are used by cosign. No image must
// be built for such a tag, even if tags are ignored: it would be taken for a signature.
const attached = /^(?:sha256|sha512)-(?<hex>[0-9a-f]{64})(?<ending>\.[a-z]+)?$/

function parseTagged(name: string, tag: string, vocabulary: Vocabulary): Route {
  // The spec's conformance suite requests an ill-formed tag and expects a 404 (spec.md, "Pulling manifests").
  if (!isTag(tag)) {
    parseImageName(name)
    throw new NixeryError('MANIFEST_UNKNOWN', `no manifest has this tag: ${tagRule}`)
  }
  const { hex, ending } = attached.exec(tag)?.groups ?? {}
  if (hex === undefined) return { kind: 'image', imageRequest: parseImageName(name, tag, vocabulary) }
  const imageRequest = parseImageName(name, undefined, vocabulary)
  if (ending !== undefined || !tag.startsWith('sha256-')) return { kind: 'attachedTag', imageRequest }
  return { kind: 'referrersTag', digest: parseDigest(`sha256:${hex}`), imageRequest }
}

// OCI image spec, descriptor.md, "Digests".
const anyDigest = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/
const sha512 = /^sha512:[0-9a-f]{128}$/

/** @throws DIGEST_INVALID if it is not a digest, or not a valid sha256 or sha512 digest */
function parseAnyDigest(text: string): Digest | undefined {
  const isOther = text.startsWith('sha512:')
    ? sha512.test(text)
    : !text.startsWith('sha256:') && anyDigest.test(text)
  return isOther ? undefined : parseDigest(text)
}

function decode(path: string): string {
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch (cause) {
    throw new NixeryError('NAME_INVALID', 'the path is not percent-encoded UTF-8', { cause })
  }
}
