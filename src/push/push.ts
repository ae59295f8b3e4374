import pLimit from 'p-limit'
import type { Digest } from '../image/digest.ts'
import { mediaTypes, type ManifestForm } from '../image/oci.ts'
import { connect, type RegistryClient } from './client.ts'
import type { Credentials } from './credentials.ts'
import { RegistryError } from './errors.ts'
import type { Reference } from './reference.ts'
import { refused } from './refusal.ts'
import { retrying } from './retry.ts'
import { once } from './tokens.ts'
import { createTransport } from './transport.ts'
import { ensureBlob, pushScope, type Arrival } from './upload.ts'

type Descriptor = { readonly digest: Digest; readonly size: number }

/** An image to push. Its blobs are read when they are uploaded. */
export type PushImage = {
  readonly form: ManifestForm
  readonly manifest: Descriptor & { readonly bytes: Uint8Array }
  /** Config and layers. */
  readonly blobs: readonly Descriptor[]
}

/** Progress of a push. */
export type PushEvent =
  | { readonly type: 'blob'; readonly digest: Digest; readonly size: number; readonly arrival: Arrival }
  /** Bytes sent of a blob. The upload may still fail and start again. */
  | { readonly type: 'sent'; readonly bytes: number }
  | { readonly type: 'retry'; readonly message: string }

export type PushOptions = {
  readonly credentials: Credentials | undefined
  /** Allows untrusted certificates and plain HTTP. */
  readonly insecure: boolean
  /** A repository of the same registry that may have a blob. */
  readonly mountFrom: (digest: Digest) => string | undefined
  /** Reads a blob; fails if its content does not match its digest. */
  readonly read: (blob: Descriptor) => AsyncIterable<Uint8Array>
  readonly listener: (event: PushEvent) => void
  readonly signal: AbortSignal
  /** Milliseconds before the first retry. */
  readonly firstDelay?: number
}

/** A registry that is reachable and accepted the credentials. */
export type Pushing = {
  /**
   * Uploads the blobs that a repository lacks, then the manifest under each tag.
   * @throws REGISTRY_REFUSED, REGISTRY_UNAVAILABLE, CANCELLED, and what reading blobs throws
   */
  push(image: PushImage, repository: string, tags: readonly string[]): Promise<void>
  close(): void
}

// Concurrent uploads, as in Docker and containerd.
const atOnce = 3

/**
 * Connects to a registry; called before the image is built.
 * @throws REGISTRY_REFUSED, REGISTRY_UNAVAILABLE, CANCELLED
 */
export async function openPush({ host }: Pick<Reference, 'host'>, options: PushOptions): Promise<Pushing> {
  const { insecure, listener, signal, firstDelay = 1000 } = options
  const transport = createTransport({ verify: !insecure })
  const retry = {
    signal,
    firstDelay,
    onRetry: (message: string) => listener({ type: 'retry', message }),
  }
  let client: RegistryClient
  try {
    // Retry if the registry is busy, but not if it is unreachable: its name was most likely mistyped.
    client = await retrying(() => connect(host, { ...options, transport }), {
      ...retry,
      worth: (error) => error.answered,
    })
  } catch (error) {
    transport.close()
    throw error
  }

  return {
    async push(image, repository, tags) {
      // The first failure cancels the other uploads; wait until all have ended.
      const abort = new AbortController()
      const either = AbortSignal.any([signal, abort.signal])
      const limit = pLimit(atOnce)
      const pushBlob = async (blob: Descriptor) => {
        try {
          either.throwIfAborted()
          const arrival = await retrying(() => sendBlob(client, repository, blob, options, either), {
            ...retry,
            signal: either,
          })
          listener({ type: 'blob', ...blob, arrival })
        } catch (error) {
          abort.abort(error)
          throw error
        }
      }
      const distinct = new Map(image.blobs.map((blob) => [blob.digest, blob]))
      const settled = await Promise.allSettled([...distinct.values()].map((blob) => limit(pushBlob, blob)))
      if (settled.some(({ status }) => status === 'rejected')) {
        signal.throwIfAborted()
        throw abort.signal.reason
      }
      for (const tag of tags) await retrying(() => putManifest(client, repository, tag, image, signal), retry)
    },
    close: () => transport.close(),
  }
}

const sendBlob = (
  client: RegistryClient,
  repository: string,
  blob: Descriptor,
  { read, mountFrom, listener }: PushOptions,
  signal: AbortSignal,
): Promise<Arrival> => {
  const from = mountFrom(blob.digest)
  async function* open() {
    for await (const chunk of read(blob)) {
      yield chunk
      listener({ type: 'sent', bytes: chunk.length })
    }
  }
  return ensureBlob(client, {
    repository,
    digest: blob.digest,
    body: { size: blob.size, open },
    from: from === repository ? undefined : from,
    signal,
  })
}

async function putManifest(
  client: RegistryClient,
  repository: string,
  tag: string,
  { form, manifest }: PushImage,
  signal: AbortSignal,
): Promise<void> {
  const url = new URL(`${repository}/manifests/${tag}`, client.base)
  const headers = { 'Content-Type': mediaTypes[form].manifest }
  const body = { size: manifest.size, open: () => once(manifest.bytes) }
  const answer = await client.send({ method: 'PUT', url, headers, body, signal }, [pushScope(repository)])
  if (answer.status !== 201 && answer.status !== 200)
    throw refused(client, `the manifest of ${repository}:${tag}`, answer)
  const digest = answer.headers['docker-content-digest']
  if (digest === undefined || digest === manifest.digest) return
  throw new RegistryError('REGISTRY_REFUSED', `${client.host} stored a different manifest than was sent`)
}
