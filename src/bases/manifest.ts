import { z } from 'zod'
import { parseDigest, type Digest } from '../image/digest.ts'
import type { Compression } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import { oneLine } from '../text/plain.ts'
import { listed } from '../text/words.ts'
import { BaseProblem } from './errors.ts'

// Manifests, indexes and configs of both formats: OCI image spec, and Docker's image manifest version 2, schema 2.

/** A blob that a manifest refers to. */
export type Descriptor = { readonly digest: Digest; readonly size: number; readonly mediaType: string }
export type LayerDescriptor = Descriptor & { readonly compression: Compression }

/** The accepted media types; a registry may refuse to send others. */
export const acceptedManifests = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

const digest = z.string().transform((text, context) => {
  try {
    return parseDigest(text)
  } catch {
    context.addIssue('has a digest that is not sha256')
    return z.NEVER
  }
})
const descriptor = z.object({ digest, size: z.int().min(0), mediaType: z.string().max(255) })
const index = z.object({
  manifests: z
    .array(
      descriptor.extend({
        platform: z
          .object({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
          .optional(),
      }),
    )
    .max(1000),
})
const manifest = z.object({ config: descriptor, layers: z.array(descriptor).min(1).max(127) })

/** Media types of layers, by compression. */
const compressions: Readonly<Record<string, Compression>> = {
  'application/vnd.oci.image.layer.v1.tar': 'none',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd': 'zstd',
  'application/vnd.docker.image.rootfs.diff.tar': 'none',
  'application/vnd.docker.image.rootfs.diff.tar.gzip': 'gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd': 'zstd',
}

/** Parses JSON sent by a registry. @throws BaseProblem */
export function jsonOf(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new BaseProblem(`${what} is not JSON`)
  }
}

/** Parses a manifest or an index. @throws BaseProblem */
export function readManifest(
  text: string,
):
  | { readonly kind: 'index'; readonly manifests: z.infer<typeof index>['manifests'] }
  | { readonly kind: 'manifest'; readonly config: Descriptor; readonly layers: readonly LayerDescriptor[] } {
  const json = jsonOf(text, 'its manifest')
  if (typeof json === 'object' && json !== null && 'manifests' in json) {
    return { kind: 'index', ...parsed(index, json, 'its index') }
  }
  if (typeof json === 'object' && json !== null && 'fsLayers' in json) {
    throw new BaseProblem('its manifest has schema 1, which Docker no longer supports: push the image again')
  }
  const { config, layers } = parsed(manifest, json, 'its manifest')
  return { kind: 'manifest', config, layers: layers.map(layerOf) }
}

function layerOf(one: z.infer<typeof descriptor>): LayerDescriptor {
  const compression = compressions[one.mediaType]
  if (compression !== undefined) return { ...one, compression }
  const shown = oneLine(one.mediaType, 100)
  throw new BaseProblem(
    `it has a layer of the type ${shown}, which cannot be copied: use an image whose layers are tar archives, plain or compressed with gzip or zstd`,
  )
}

/** The manifest for a platform in an index. @throws BaseProblem with the available platforms */
export function chooseManifest(
  manifests: z.infer<typeof index>['manifests'],
  { os, architecture }: Platform,
): Descriptor {
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === os && platform.architecture === architecture,
  )
  // Without a variant, or with the baseline variant: v8 of arm64, v1 of amd64.
  const rank = ({ platform }: (typeof manifests)[number]) =>
    ['v8', 'v1'].includes(platform?.variant ?? 'v1') ? 0 : 1
  const [best] = fitting.toSorted((a, b) => rank(a) - rank(b))
  if (best) return best
  const known = manifests.flatMap(({ platform }) =>
    platform && platform.os !== 'unknown' ? [oneLine(`${platform.os}/${platform.architecture}`, 100)] : [],
  )
  const has = known.length === 0 ? 'no platform' : listed([...new Set(known)].slice(0, 20))
  throw otherPlatform(`it is for ${has}`, architecture)
}

/** @param text the supported platforms */
export const otherPlatform = (text: string, architecture: string): BaseProblem =>
  new BaseProblem(
    `${text}, and not for linux/${architecture}: choose another base, or list the platforms of the recipe in \`platforms\``,
    { ofPlatform: true },
  )

/** Parses JSON that a registry sent. @throws BaseProblem */
export function parsed<T>(schema: z.ZodType<T>, json: unknown, what: string): T {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue && issue.path.length > 0 ? ` (${issue.path.map(String).join('.')})` : ''
  throw new BaseProblem(`${what} is not valid${where}: ${oneLine(issue?.message ?? '', 200)}`)
}
