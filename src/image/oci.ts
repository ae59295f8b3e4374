import { canonicalJson } from './canonical.ts'
import type { Digest } from './digest.ts'
import type { Platform } from './platform.ts'

/** The two forms of the same image: Docker's schema 2 and OCI's. */
export type ManifestForm = 'docker' | 'oci'

/**
 * Media types by form (OCI image spec media-types.md; Docker's image manifest version 2, schema 2). Docker's form
 * has no type for zstd, and readers refuse types that they do not know; those that can read zstd see it by its first
 * bytes, and take it as this (skopeo 1.9 and containerd do).
 */
export const mediaTypes = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: {
      gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      zstd: 'application/vnd.docker.image.rootfs.diff.tar',
      none: 'application/vnd.docker.image.rootfs.diff.tar',
    },
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: {
      gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
      zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
      none: 'application/vnd.oci.image.layer.v1.tar',
    },
  },
} as const

/** How a layer's bytes are compressed. */
export type Compression = keyof (typeof mediaTypes)['oci']['layer']

/** A layer as bytes that exist: compressed under `digest`, uncompressed under `diffId`. */
export type Layer = {
  readonly digest: Digest
  readonly diffId: Digest
  /** Bytes, compressed. */
  readonly size: number
  readonly compression: Compression
}

/** How a container of the image is started (OCI image spec, config.md). Fields that are not set are left out. */
export type ImageConfig = {
  /** `NAME=value` each. */
  readonly env: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** `user`, `uid`, `user:group` or `uid:gid`. */
  readonly user?: string
  /** An absolute path. */
  readonly workdir?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** A config with more variables; one that it has already stays as it is. */
export function withVariables(config: ImageConfig, added: readonly string[]): ImageConfig {
  const nameOf = (variable: string) => variable.slice(0, variable.indexOf('='))
  const names = new Set(config.env.map(nameOf))
  return { ...config, env: [...config.env, ...added.filter((variable) => !names.has(nameOf(variable)))] }
}

/**
 * The image config: one text for both forms. If not told otherwise it says no time of creation but the store's own
 * (1 s after the epoch), so that equal contents are equal images.
 * @param layers in manifest order, each with a line for `docker history`
 * @param created in RFC 3339's form
 */
export function composeConfig(
  platform: Platform,
  layers: readonly { readonly layer: Layer; readonly comment: string }[],
  config: ImageConfig,
  created = '1970-01-01T00:00:01Z',
): string {
  return canonicalJson({
    architecture: platform.architecture,
    os: platform.os,
    created,
    config: {
      Env: config.env,
      Entrypoint: config.entrypoint,
      Cmd: config.cmd,
      User: config.user,
      WorkingDir: config.workdir,
      Labels: config.labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ layer }) => layer.diffId) },
    history: layers.map(({ comment }) => ({ created, created_by: 'nixery', comment })),
  })
}

/** What is said of a manifest, or of a layer in one, besides what it is (OCI image spec, annotations.md). */
export type Annotations = Readonly<Record<string, string>>

/** What a manifest says of a layer. */
export type LayerDescriptor = {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly annotations?: Annotations
}

/**
 * The manifest over a config and layers, in manifest order.
 * @param annotations the manifest's own. Docker's form has no place for any, and leaves all of them out
 */
export function composeManifest(
  form: ManifestForm,
  config: { readonly digest: Digest; readonly size: number },
  layers: readonly LayerDescriptor[],
  annotations: Annotations = {},
): string {
  const types = mediaTypes[form]
  return canonicalJson({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: config.digest, size: config.size },
    layers: layers.map(({ mediaType, digest, size, annotations: own }) => ({
      mediaType,
      digest,
      size,
      ...annotated(form, own),
    })),
    ...annotated(form, annotations),
  })
}

/** The field for annotations, where there are any and the form has it. */
function annotated(form: ManifestForm, annotations: Annotations = {}): { annotations?: Annotations } {
  return form === 'oci' && Object.keys(annotations).length > 0 ? { annotations } : {}
}

/**
 * The index over one manifest a platform: OCI's, or Docker's manifest list.
 * @param annotations the index's own, as for `composeManifest`
 */
export function composeIndex(
  form: ManifestForm,
  manifests: readonly { readonly digest: Digest; readonly size: number; readonly platform: Platform }[],
  annotations: Annotations = {},
): string {
  const types = mediaTypes[form]
  return canonicalJson({
    schemaVersion: 2,
    mediaType: types.index,
    manifests: manifests.map(({ digest, size, platform }) => ({
      mediaType: types.manifest,
      digest,
      size,
      platform: { architecture: platform.architecture, os: platform.os },
    })),
    ...annotated(form, annotations),
  })
}
