import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { digestOf } from '../../src/image/digest.ts'
import { mediaTypes } from '../../src/image/oci.ts'

export type Form = keyof typeof mediaTypes

/** A pulled image: its digest, and those of its config and layers, all of which were verified. */
export type PulledImage = { readonly digest: string; readonly blobs: readonly string[] }

export type PullOptions = {
  readonly form?: Form
  readonly signal?: AbortSignal
  /** Called for each received piece of a blob. */
  readonly onChunk?: () => void
  /** Called when the manifest has arrived. */
  readonly onManifest?: (image: PulledImage) => void
}

/** A response with an error status; the message contains its body. */
export type HttpError = Error & { readonly status: number }
export const isHttpError = (error: unknown): error is HttpError => error instanceof Error && 'status' in error

/** Requests a manifest and verifies its digest. @throws HttpError; AssertionError if the digest does not match */
export async function pullManifest(
  address: string,
  name: string,
  reference: string,
  { form = 'oci', signal }: Pick<PullOptions, 'form' | 'signal'> = {},
): Promise<PulledImage> {
  const response = await get(`http://${address}/v2/${name}/manifests/${reference}`, signal, {
    Accept: mediaTypes[form].manifest,
  })
  const text = await response.text()
  const digest = response.headers.get('Docker-Content-Digest') ?? ''
  assert.equal(digestOf(text), digest, `the manifest of ${name}:${reference} does not match its digest`)
  const { config, layers } = JSON.parse(text) as { config: { digest: string }; layers: { digest: string }[] }
  return { digest, blobs: [config, ...layers].map(({ digest: blob }) => blob) }
}

/** Requests a blob and verifies its digest. @returns its size in bytes @throws as above */
export async function pullBlob(
  address: string,
  digest: string,
  { signal, onChunk }: Pick<PullOptions, 'signal' | 'onChunk'> = {},
): Promise<number> {
  const { body } = await get(`http://${address}/v2/any/blobs/${digest}`, signal)
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of body ?? []) {
    hash.update(chunk)
    size += chunk.length
    onChunk?.()
  }
  assert.equal(`sha256:${hash.digest('hex')}`, digest, 'a complete blob does not match its digest')
  return size
}

/** Pulls like a client: the manifest, then all its blobs. @throws as above */
export async function pullImage(
  address: string,
  name: string,
  options: PullOptions = {},
): Promise<PulledImage> {
  const image = await pullManifest(address, name, 'latest', options)
  options.onManifest?.(image)
  await Promise.all([...new Set(image.blobs)].map((digest) => pullBlob(address, digest, options)))
  return image
}

async function get(url: string, signal: AbortSignal | undefined, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers, ...(signal && { signal }) })
  if (response.status === 200) return response
  const message = `${url}: ${response.status} ${await response.text()}`
  throw Object.assign(new Error(message), { status: response.status })
}
