import { canonicalJson } from './canonical.ts'
import type { Healthcheck } from './contents.ts'
import type { Digest } from './digest.ts'
import type { Platform } from './platform.ts'

/** The two forms of an image: Docker's schema 2 and OCI's. */
export type ManifestForm = 'docker' | 'oci'

/**
 * Media types by form (OCI image spec media-types.md; Docker's image manifest version 2, schema 2). Docker's form has no
 * type for zstd, and clients refuse unknown types. Clients that support zstd detect it by its first bytes regardless of
 * this type (skopeo 1.9 and containerd do).
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

/** The compression of a layer. */
export type Compression = keyof (typeof mediaTypes)['oci']['layer']

/** A packed layer: `digest` is that of the compressed bytes, `diffId` that of the uncompressed ones. */
export type Layer = {
  readonly digest: Digest
  readonly diffId: Digest
  /** Bytes, compressed. */
  readonly size: number
  readonly compression: Compression
}

/** How containers of the image are started (OCI image spec, config.md). Unset fields are omitted. */
export type ImageConfig = {
  /** Entries of the form `NAME=value`. */
  readonly env: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** `user`, `uid`, `user:group` or `uid:gid`. */
  readonly user?: string
  /** An absolute path. */
  readonly workdir?: string
  readonly labels?: Readonly<Record<string, string>>
  /** `8080/tcp`. */
  readonly ports?: readonly string[]
  /** Absolute paths. */
  readonly volumes?: readonly string[]
  /** `SIGTERM`, or a number. */
  readonly stopSignal?: string
  readonly healthcheck?: Healthcheck
}

/** Adds variables to a config; existing ones are kept unchanged. */
export function withVariables(config: ImageConfig, added: readonly string[]): ImageConfig {
  const nameOf = (variable: string) => variable.slice(0, variable.indexOf('='))
  const names = new Set(config.env.map(nameOf))
  return { ...config, env: [...config.env, ...added.filter((variable) => !names.has(nameOf(variable)))] }
}

/**
 * The image config, which is the same for both forms. The default creation time is that of the Nix store (1 s after the
 * epoch), so that equal contents give equal images.
 * @param layers in manifest order, each with a line for `docker history`
 * @param created an RFC 3339 time
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
      ExposedPorts: emptyObjects(config.ports),
      Volumes: emptyObjects(config.volumes),
      StopSignal: config.stopSignal,
      Healthcheck: config.healthcheck && dockerHealthcheck(config.healthcheck),
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ layer }) => layer.diffId) },
    history: layers.map(({ comment }) => ({ created, created_by: 'nixery', comment })),
  })
}

/** A set of names, as the config has it: an object with empty objects. */
const emptyObjects = (names: readonly string[] | undefined) =>
  names && Object.fromEntries(names.map((name) => [name, {}]))

/** Docker's form: times in nanoseconds (moby, api/types/container/config.go). OCI reserves the name of the field. */
const dockerHealthcheck = ({ command, interval, timeout, startPeriod, retries }: Healthcheck) => ({
  Test: typeof command === 'string' ? ['CMD-SHELL', command] : ['CMD', ...command],
  Interval: nanoseconds(interval),
  Timeout: nanoseconds(timeout),
  StartPeriod: nanoseconds(startPeriod),
  Retries: retries,
})

const nanoseconds = (seconds: number | undefined) => seconds && Math.round(seconds * 1e9)

/** Annotations of a manifest, or of a layer in one (OCI image spec, annotations.md). */
export type Annotations = Readonly<Record<string, string>>

/** The entry of a layer in a manifest. */
export type LayerDescriptor = {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly annotations?: Annotations
}

/**
 * The manifest of a config and layers, in manifest order.
 * @param annotations annotations of the manifest; Docker's form does not support any, and omits them
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

/** The field for annotations, if there are any and the form supports them. */
function annotated(form: ManifestForm, annotations: Annotations = {}): { annotations?: Annotations } {
  return form === 'oci' && Object.keys(annotations).length > 0 ? { annotations } : {}
}

/**
 * The index of one manifest per platform: OCI's, or Docker's manifest list.
 * @param annotations annotations of the index, as for `composeManifest`
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
