import type { Blobs } from '../builds/blobs.ts'
import type { Holdings } from '../builds/holdings.ts'
import type { Digest } from '../image/digest.ts'
import type { ImageRequest } from '../image/name.ts'
import { largestManifest, listedIn } from './manifest-type.ts'

/** A request for content by its digest. */
type Named = { readonly digest: Digest | undefined; readonly imageRequest: ImageRequest }

export type HeldDeps = {
  readonly blobs: Blobs
  /** Which digests belong to which names; without it, any digest is served under any name. */
  readonly holdings?: Pick<Holdings, 'holds' | 'note'> | undefined
}

/** Whether a manifest or blob belongs to an image that was served under the name in the request. */
export const isHeld = ({ holdings }: HeldDeps, { digest, imageRequest }: Named): boolean | Promise<boolean> =>
  !holdings || (digest !== undefined && holdings.holds(imageRequest, digest))

/** The same for a manifest, which may also be an index of such images. */
export async function isHeldManifest(deps: HeldDeps, named: Named): Promise<boolean> {
  const { holdings, blobs } = deps
  if (!holdings || (await isHeld(deps, named))) return true
  const bytes = named.digest && (await blobs.readSmall(named.digest, largestManifest))
  const children = bytes ? listedIn(bytes) : []
  const held = await Promise.all(children.map(async (digest) => holdings.holds(named.imageRequest, digest)))
  return held.length > 0 && held.every(Boolean)
}
