import { NixeryError } from '../errors.ts'
import { parseDigest, type Digest } from '../image/digest.ts'
import { parseImageName, type ImageRequest } from '../image/name.ts'

/** What a request asks of the registry: parsed once, trusted afterwards. */
export type Route =
  | { readonly kind: 'ping' }
  | { readonly kind: 'image'; readonly request: ImageRequest }
  | { readonly kind: 'manifest'; readonly digest: Digest }
  | { readonly kind: 'blob'; readonly digest: Digest }

const named = /^(?<name>.*)\/(?<kind>manifests|blobs)\/(?<reference>[^/]*)$/s
const ours = /^.*\/(?:tags\/list|referrers\/[^/]*|blobs\/uploads(?:\/[^/]*)?)$/s

/**
 * Reads the path of a request below `/v2/` (distribution spec, "Endpoints").
 * @param path as it stands in the request, still percent-encoded, without the query
 * @throws NAME_INVALID, TAG_INVALID, DIGEST_INVALID, UNSUPPORTED, ROUTE_UNKNOWN
 */
export function parseRoute(method: string, path: string): Route {
  const below = decode(path).slice('/v2'.length)
  if (below === '' || below === '/') {
    refuseOther(method)
    return { kind: 'ping' }
  }
  const groups = named.exec(below.slice(1))?.groups
  const { name, kind, reference } = groups ?? {}
  const isOurs = name !== undefined || ours.test(below)
  if (isOurs || !isReading(method)) refuseOther(method)
  if (name === undefined || reference === undefined || ours.test(below)) {
    throw new NixeryError('ROUTE_UNKNOWN', 'this registry has no such address')
  }
  if (kind === 'manifests' && !reference.includes(':')) {
    return { kind: 'image', request: parseImageName(name, reference) }
  }
  parseImageName(name)
  const digest = parseDigest(reference)
  return kind === 'manifests' ? { kind: 'manifest', digest } : { kind: 'blob', digest }
}

const isReading = (method: string): boolean => method === 'GET' || method === 'HEAD'

function refuseOther(method: string): void {
  if (isReading(method)) return
  throw new NixeryError(
    'UNSUPPORTED',
    'images are made from their names here: nothing can be pushed or deleted',
  )
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch (cause) {
    throw new NixeryError('NAME_INVALID', 'the address is not percent-encoded UTF-8', { cause })
  }
}
