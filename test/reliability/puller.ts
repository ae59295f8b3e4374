import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { digestOf } from '../../src/image/digest.ts'
import { mediaTypes } from '../../src/image/oci.ts'

export type Form = keyof typeof mediaTypes

/** An image that was pulled: all of it was there, and every byte what its digest says. */
export type Pulled = { readonly digest: string; readonly parts: readonly string[] }

export type PullOptions = {
  readonly form?: Form
  readonly signal?: AbortSignal
  /** Called with each piece of a blob that comes. */
  readonly onChunk?: () => void
  /** Called when the manifest is there: the image was answered. */
  readonly onAnswered?: (image: Pulled) => void
}

/** An answer whose status is another than that of success: what it said is in the message. */
export type Refused = Error & { readonly status: number }
export const isRefused = (error: unknown): error is Refused => error instanceof Error && 'status' in error

/** Asks for a manifest and checks its digest. @throws Refused; an AssertionError for bytes that are wrong */
export async function pullManifest(
  address: string,
  name: string,
  reference: string,
  { form = 'oci', signal }: Pick<PullOptions, 'form' | 'signal'> = {},
): Promise<Pulled> {
  const response = await get(`http://${address}/v2/${name}/manifests/${reference}`, signal, {
    Accept: mediaTypes[form].manifest,
  })
  const text = await response.text()
  const digest = response.headers.get('Docker-Content-Digest') ?? ''
  assert.equal(digestOf(text), digest, `the manifest of ${name}:${reference} is not what it is said to be`)
  const { config, layers } = JSON.parse(text) as { config: { digest: string }; layers: { digest: string }[] }
  return { digest, parts: [config, ...layers].map((part) => part.digest) }
}

/** Asks for a blob and hashes it. @returns its size @throws as above */
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
  assert.equal(
    `sha256:${hash.digest('hex')}`,
    digest,
    'a blob was served whole, and is not what its digest says',
  )
  return size
}

/** Pulls as clients do: the manifest, then everything in it. @throws as above */
export async function pullImage(address: string, name: string, options: PullOptions = {}): Promise<Pulled> {
  const image = await pullManifest(address, name, 'latest', options)
  options.onAnswered?.(image)
  await Promise.all([...new Set(image.parts)].map((digest) => pullBlob(address, digest, options)))
  return image
}

async function get(url: string, signal: AbortSignal | undefined, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers, ...(signal && { signal }) })
  if (response.status === 200) return response
  const message = `${url}: ${response.status} ${await response.text()}`
  throw Object.assign(new Error(message), { status: response.status })
}
