import { NixeryError } from '../errors.ts'
import { canonicalJson } from '../image/canonical.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'
import { textReply, type Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'

/** A manifest that refers to another one as its subject, such as a signature (image spec, descriptor.md). */
export type Referrer = {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  /** The manifest's, or else its config's media type. */
  readonly artifactType?: string
  /** The manifest's. */
  readonly annotations?: Readonly<Record<string, string>>
}

/** The manifests that have this one as their subject. */
export type Referrers = (subject: Digest) => Promise<readonly Referrer[]>

/**
 * Lists the referrers of a manifest (distribution spec, "Listing Referrers") as an index, which is empty for an unknown
 * manifest, because the response must never be a 404.
 * @param subject undefined for a digest with an unsupported algorithm
 */
export async function referrersReply(
  referrers: Referrers,
  request: HttpRequest,
  subject: Digest | undefined,
): Promise<Reply> {
  const all = subject === undefined ? [] : await referrers(subject)
  // A parameter without a value requests no type.
  const wanted = new URLSearchParams(request.query).get('artifactType') ?? ''
  const some = wanted === '' ? all : all.filter(({ artifactType }) => artifactType === wanted)
  return textReply(200, mediaTypes.oci.index, indexOf(some), {
    'Cache-Control': 'no-cache',
    ...(wanted !== '' && { 'OCI-Filters-Applied': 'artifactType' }),
  })
}

/**
 * The same index under the tag that clients use for registries without the referrers API ("Referrers Tag Schema").
 * Without referrers the tag does not exist: "the client SHOULD assume there are no referrers". An empty index would
 * mean the same, but look like an image without platforms to clients that pull tags.
 * @throws MANIFEST_UNKNOWN
 */
export async function referrersTagReply(referrers: Referrers, subject: Digest): Promise<Reply> {
  const all = await referrers(subject)
  if (all.length === 0) throw new NixeryError('MANIFEST_UNKNOWN', 'nothing refers to this manifest')
  const text = indexOf(all)
  const digest = digestOf(text)
  return textReply(200, mediaTypes.oci.index, text, {
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Cache-Control': 'no-cache',
  })
}

const indexOf = (manifests: readonly Referrer[]): string =>
  canonicalJson({ schemaVersion: 2, mediaType: mediaTypes.oci.index, manifests })
