import { randomUUID } from 'node:crypto'
import type { Blobs } from '../builds/blobs.ts'
import { NixeryError } from '../errors.ts'
import { hexOf, type Digest } from '../image/digest.ts'
import type { BlobStore, ByteRange } from '../store/store.ts'
import { blobBody, isRange, type Piece } from './blob-body.ts'
import { isKnown, mayGivePart } from './conditional.ts'
import { parseRanges } from './range.ts'
import { immutable, registryHeaders, type Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'

export type BlobDeps = {
  readonly blobs: Blobs
  readonly store: Pick<BlobStore, 'redirectUrl'>
  /**
   * The internal location of a front server that sends the store's files itself, such as `/blobs/`. The front server
   * must find each file as `<location><sha256 hex>`.
   */
  readonly sendfile?: string | undefined
}

/**
 * Responds with a blob (distribution spec, "Pulling blobs"), whole or in parts.
 * @param digest undefined for a well-formed digest with an unsupported algorithm
 * @throws BLOB_UNKNOWN, RANGE_INVALID, PRECONDITION_FAILED, and what the store throws
 */
export async function blobReply(
  deps: BlobDeps,
  request: HttpRequest,
  digest: Digest | undefined,
): Promise<Reply> {
  const size = digest && (await deps.blobs.find(digest))
  if (digest === undefined || size === undefined) {
    throw new NixeryError('BLOB_UNKNOWN', 'no blob has this digest')
  }
  const etag = `"${digest}"`
  const common = {
    ...registryHeaders,
    'Docker-Content-Digest': digest,
    ETag: etag,
    'Cache-Control': immutable,
  }
  if (isKnown(request, etag)) return { status: 304, headers: common, body: undefined }
  const whole = { ...common, ...octets, ...ranged, 'Content-Length': String(size) }
  // HEAD is answered here: ranges do not apply to it (RFC 9110 §14.2), and a URL signed for GET would fail for HEAD.
  if (request.method === 'HEAD') return { status: 200, headers: whole, body: undefined }
  if (deps.sendfile !== undefined && deps.blobs.file(digest) !== undefined) {
    return handedOver(`${deps.sendfile}${hexOf(digest)}`, { ...common, ...octets })
  }
  const location = await deps.store.redirectUrl?.(digest)
  if (location !== undefined) return redirect(location, digest)

  const ranges = mayGivePart(request, etag) ? parseRanges(request.header('range'), size) : undefined
  const [range, ...more] = ranges ?? []
  if (!range) {
    const body = size === 0 ? '' : blobBody(deps.blobs, digest, [{ start: 0, end: size }])
    return { status: 200, headers: whole, body }
  }
  if (more.length > 0) return multipart(deps, digest, size, common, [range, ...more])
  const headers = {
    ...common,
    ...octets,
    ...ranged,
    'Content-Length': String(range.end - range.start),
    'Content-Range': contentRange(range, size),
  }
  return { status: 206, headers, body: blobBody(deps.blobs, digest, [range]) }
}

const octets = { 'Content-Type': 'application/octet-stream' }
const ranged = { 'Accept-Ranges': 'bytes' }

const contentRange = ({ start, end }: ByteRange, size: number): string => `bytes ${start}-${end - 1}/${size}`

/** Several parts in one body (RFC 9110 §14.6), the length of which is known in advance. */
function multipart(
  deps: BlobDeps,
  digest: Digest,
  size: number,
  common: Readonly<Record<string, string>>,
  ranges: readonly ByteRange[],
): Reply {
  const boundary = randomUUID()
  const pieces = ranges.flatMap((range): Piece[] => [
    Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: ${octets['Content-Type']}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`,
    ),
    range,
  ])
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`))
  const lengths = pieces.map((piece) => (isRange(piece) ? piece.end - piece.start : piece.length))
  const headers = {
    ...common,
    ...ranged,
    'Content-Type': `multipart/byteranges; boundary=${boundary}`,
    'Content-Length': String(lengths.reduce((sum, length) => sum + length, 0)),
  }
  return { status: 206, headers, body: blobBody(deps.blobs, digest, pieces) }
}

/** Leaves the body and its ranges to nginx. docs/front-server.md lists which of these headers it keeps. */
const handedOver = (path: string, headers: Readonly<Record<string, string>>): Reply => ({
  status: 200,
  headers: { ...headers, 'Content-Length': '0', 'X-Accel-Redirect': path },
  body: undefined,
})

const redirect = (location: string, digest: Digest): Reply => ({
  status: 307,
  headers: {
    ...registryHeaders,
    Location: location,
    'Content-Length': '0',
    'Docker-Content-Digest': digest,
    'Cache-Control': 'no-store', // a signature expires
  },
  body: undefined,
})
