import { canonicalJson, type Json } from '../image/canonical.ts'
import { hexOf, type Digest } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import { byText } from '../image/store-path.ts'
import { formatArchiveName, fullName, type ArchiveName } from './name.ts'
import type { Descriptor } from './verified.ts'

/** A published image, as it is exported: always with its OCI manifest. */
export type ExportImage = {
  readonly name: ArchiveName
  readonly platform: Platform
  readonly manifest: Descriptor
  readonly config: Descriptor
  /** In manifest order. */
  readonly layers: readonly Descriptor[]
}

/** A file of a layout or archive: a small generated one, or a blob. */
export type LayoutFile = {
  readonly path: string
  readonly content: { readonly bytes: Uint8Array } | { readonly blob: Descriptor }
}

/** The entry of an image in `index.json`. */
export type IndexEntry = {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  readonly platform: { readonly architecture: string; readonly os: string }
  readonly annotations: Readonly<Record<string, string>>
}

/** The annotation that names an image of a layout (OCI image spec, annotations.md). */
export const refName = 'org.opencontainers.image.ref.name'

const layoutMarker: LayoutFile = {
  path: 'oci-layout',
  content: { bytes: Buffer.from(canonicalJson({ imageLayoutVersion: '1.0.0' })) },
}

/** The blobs of an image, sorted, without duplicates. */
export function blobFiles({ manifest, config, layers }: ExportImage): LayoutFile[] {
  const parts = new Map([manifest, config, ...layers].map((blob) => [blobPath(blob.digest), blob]))
  return Array.from(parts, ([path, blob]) => ({ path, content: { blob } })).sort(byPath)
}

/**
 * The index entry of an image. The reference is the full name rather than the tag, so that one layout can hold images of
 * several names. containerd, and Docker with it, read the other annotation.
 */
export const indexEntry = ({ name, platform, manifest }: ExportImage): IndexEntry => ({
  mediaType: mediaTypes.oci.manifest,
  digest: manifest.digest,
  size: manifest.size,
  platform: { architecture: platform.architecture, os: platform.os },
  annotations: { [refName]: formatArchiveName(name), 'io.containerd.image.name': fullName(name) },
})

/** `index.json` */
export const indexFile = (manifests: readonly Json[]): LayoutFile => ({
  path: 'index.json',
  content: {
    bytes: Buffer.from(
      canonicalJson({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }),
    ),
  },
})

/** All files of an OCI layout that holds one image, sorted. */
export const layoutFiles = (image: ExportImage): LayoutFile[] =>
  [...blobFiles(image), indexFile([indexEntry(image)]), layoutMarker].sort(byPath)

/**
 * All files of an archive for `docker load`. Like the output of `docker save` since version 25, it is also an OCI layout:
 * `manifest.json`, for older readers, refers to the same compressed blobs. So this archive keeps every digest, too.
 */
export function dockerFiles(image: ExportImage): LayoutFile[] {
  const listing = canonicalJson([
    {
      Config: blobPath(image.config.digest),
      Layers: image.layers.map(({ digest }) => blobPath(digest)),
      RepoTags: [formatArchiveName(image.name)],
    },
  ])
  return [...layoutFiles(image), { path: 'manifest.json', content: { bytes: Buffer.from(listing) } }].sort(
    byPath,
  )
}

/** The path of a blob in a layout. */
const blobPath = (digest: Digest): string => `blobs/sha256/${hexOf(digest)}`

/** The size of a file in bytes. */
export const sizeOf = ({ content }: LayoutFile): number =>
  'bytes' in content ? content.bytes.length : content.blob.size

const byPath = (a: LayoutFile, b: LayoutFile): number => byText(a.path, b.path)
