import { promisify } from 'node:util'
import { gzip, zstdCompress } from 'node:zlib'
import { digestOf } from '../../src/image/digest.ts'

/** Pushes images to a registry in all manifest formats and compressions. */

export type Compression = 'gzip' | 'zstd' | 'none'
export type NewImage = {
  /** Uncompressed archives, lowest layer first. */
  readonly layers: readonly Buffer[]
  readonly form: 'docker' | 'oci'
  readonly compression: Compression
  readonly architecture?: string
  readonly config?: object
}

const types = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: { gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip', zstd: '', none: '' },
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: {
      gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
      zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
      none: 'application/vnd.oci.image.layer.v1.tar',
    },
  },
}

/** The credentials in the password file of docker-registry.ts. */
export const authorization = `Basic ${Buffer.from('user:pass:word').toString('base64')}`

const compress = async (bytes: Buffer, compression: Compression): Promise<Buffer> => {
  if (compression === 'none') return bytes
  return compression === 'gzip' ? promisify(gzip)(bytes, { level: 1 }) : promisify(zstdCompress)(bytes)
}

async function checkStatus(response: Response): Promise<Response> {
  if (!response.ok) throw new Error(`the registry responded ${response.status}: ${await response.text()}`)
  return response
}

async function putBlob(address: string, repository: string, bytes: Buffer) {
  const digest = digestOf(bytes)
  const upload = await checkStatus(
    await fetch(`http://${address}/v2/${repository}/blobs/uploads/`, {
      method: 'POST',
      headers: { Authorization: authorization },
    }),
  )
  const url = new URL(upload.headers.get('location') ?? '', `http://${address}`)
  url.searchParams.set('digest', digest)
  const headers = { 'Content-Type': 'application/octet-stream', Authorization: authorization }
  await checkStatus(await fetch(url, { method: 'PUT', body: new Uint8Array(bytes), headers }))
  return { digest, size: bytes.length }
}

async function putManifest(
  address: string,
  repository: string,
  tag: string,
  mediaType: string,
  json: object,
) {
  const body = JSON.stringify({ schemaVersion: 2, mediaType, ...json })
  const url = `http://${address}/v2/${repository}/manifests/${tag}`
  await checkStatus(
    await fetch(url, {
      method: 'PUT',
      body,
      headers: { 'Content-Type': mediaType, Authorization: authorization },
    }),
  )
  return { mediaType, digest: digestOf(body), size: Buffer.byteLength(body) }
}

/** Pushes an image and returns the descriptor of its manifest. */
export async function pushImage(address: string, repository: string, tag: string, image: NewImage) {
  const { layers, form, compression, architecture = 'amd64', config = {} } = image
  const names = types[form]
  const descriptors = []
  for (const layer of layers) {
    const blob = await putBlob(address, repository, await compress(layer, compression))
    descriptors.push({ mediaType: names.layer[compression], ...blob })
  }
  const rootfs = { type: 'layers', diff_ids: layers.map((layer) => digestOf(layer)) }
  const text = JSON.stringify({ os: 'linux', architecture, config, rootfs })
  const configDescriptor = {
    mediaType: names.config,
    ...(await putBlob(address, repository, Buffer.from(text))),
  }
  return putManifest(address, repository, tag, names.manifest, {
    config: configDescriptor,
    layers: descriptors,
  })
}

/** Pushes an image index. `manifests` maps architectures to descriptors. */
export async function pushIndex(
  address: string,
  repository: string,
  tag: string,
  manifests: Readonly<Record<string, Awaited<ReturnType<typeof pushImage>>>>,
) {
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const descriptors = Object.entries(manifests).map(([architecture, descriptor]) => {
    return { ...descriptor, platform: { os: 'linux', architecture } }
  })
  return putManifest(address, repository, tag, mediaType, { manifests: descriptors })
}
