import { z } from 'zod'
import { digestOf, parseDigest, type Digest } from '../image/digest.ts'
import { annotationsOf } from '../image/labels.ts'
import {
  composeConfig,
  composeIndex,
  composeManifest,
  mediaTypes,
  withVariables,
  type Layer,
  type ManifestForm,
} from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import type { ImageSpec } from '../image/spec.ts'
import { layerDescriptor } from '../layers/format.ts'
import type { Blobs } from './blobs.ts'
import type { LinkFacts } from './layers.ts'

/** A blob of an image. */
export type Part = { readonly digest: Digest; readonly size: number }

/** A published image: the digests of everything that clients request. */
export type Image = {
  readonly manifests: Readonly<Record<ManifestForm, Part>>
  readonly config: Part
  readonly layers: readonly Part[]
  /** Warnings for users: what was ignored, and why. */
  readonly warnings?: readonly string[]
}

const partForm = z.object({ digest: z.string().transform((text) => parseDigest(text)), size: z.int().min(0) })
const imageForm = z.object({
  manifests: z.object({ docker: partForm, oci: partForm }),
  config: partForm,
  layers: z.array(partForm),
  warnings: z.array(z.string()).exactOptional(),
})

/** Parses an image in the catalog. Returns undefined if this version cannot read it; then it is built again. */
export function parseImage(text: string): Image | undefined {
  try {
    return imageForm.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

const partOf = (text: string): Part => ({ digest: digestOf(text), size: Buffer.byteLength(text) })

/**
 * Composes and stores config and manifests for layers that are in the store.
 * @param facts the environment variables and warnings of the tree of links
 */
export async function publishImage(
  blobs: Blobs,
  {
    platform,
    config: runConfig,
    commit,
    annotations: own,
  }: Pick<ImageSpec, 'platform' | 'config' | 'commit' | 'annotations'>,
  layers: readonly { readonly layer: Layer; readonly comment: string }[],
  { env, warnings }: LinkFacts = { env: [], warnings: [] },
): Promise<Image> {
  const publish = async (text: string, mediaType: string): Promise<Part> => {
    const part = partOf(text)
    await blobs.publish({ ...part, mediaType }, { bytes: Buffer.from(text) })
    return part
  }
  const configText = composeConfig(platform, layers, withVariables(runConfig, env), commit?.created)
  const plain = layers.map(({ layer }) => layer)
  const annotations = { ...annotationsOf(runConfig.labels), ...own }
  const manifest = (form: ManifestForm) => {
    const descriptors = plain.map((layer) => layerDescriptor(form, layer))
    const text = composeManifest(form, partOf(configText), descriptors, annotations)
    return publish(text, mediaTypes[form].manifest)
  }
  const [config, docker, oci] = await Promise.all([
    publish(configText, mediaTypes.oci.config),
    manifest('docker'),
    manifest('oci'),
  ])
  return {
    manifests: { docker, oci },
    config,
    layers: plain.map(({ digest, size }) => ({ digest, size })),
    ...(warnings.length > 0 && { warnings }),
  }
}

/** Composes and stores an index of images for several platforms. */
export async function publishIndex(
  blobs: Blobs,
  form: ManifestForm,
  images: readonly { readonly image: Image; readonly platform: Platform }[],
): Promise<Part> {
  const manifests = images.map(({ image, platform }) => ({ ...image.manifests[form], platform }))
  const bytes = Buffer.from(composeIndex(form, manifests))
  const part = { digest: digestOf(bytes), size: bytes.length }
  if ((await blobs.find(part.digest)) === undefined) {
    await blobs.publish({ ...part, mediaType: mediaTypes[form].index }, { bytes })
  }
  return part
}

/** Whether all blobs of an image are complete in the store. */
export async function isComplete(blobs: Blobs, image: Image): Promise<boolean> {
  const parts = [...Object.values(image.manifests), image.config, ...image.layers]
  const complete = await Promise.all(
    parts.map(async ({ digest, size }) => (await blobs.find(digest)) === size),
  )
  return !complete.includes(false)
}
