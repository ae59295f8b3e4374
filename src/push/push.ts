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

type Part = { readonly digest: Digest; readonly size: number }

/** An image that is to be pushed: its blobs are read when they are wanted. */
export type PushImage = {
  readonly form: ManifestForm
  readonly manifest: Part & { readonly bytes: Uint8Array }
  /** Config and layers. */
  readonly blobs: readonly Part[]
}

/** What happens on the way. */
export type PushEvent =
  | { readonly type: 'blob'; readonly digest: Digest; readonly size: number; readonly arrival: Arrival }
  /** Bytes that were sent, of a blob that may yet fail and be sent again. */
  | { readonly type: 'sent'; readonly bytes: number }
  | { readonly type: 'retry'; readonly message: string }

export type PushOptions = {
  readonly credentials: Credentials | undefined
  /** Does without a trusted certificate, or without encryption. */
  readonly insecure: boolean
  /** A repository of the same registry that may have a blob. */
  readonly mountFrom: (digest: Digest) => string | undefined
  /** The bytes of a blob, which fails if they are others than they should be. */
  readonly read: (part: Part) => AsyncIterable<Uint8Array>
  readonly listener: (event: PushEvent) => void
  readonly signal: AbortSignal
  /** Milliseconds before what failed is tried again. */
  readonly firstDelay?: number
}

/** A registry that was found and let us in. */
export type Pushing = {
  /**
   * Uploads what a repository lacks of an image, then names it with tags.
   * @throws REGISTRY_REFUSED, REGISTRY_UNAVAILABLE, CANCELLED, and what reading blobs throws
   */
  push(image: PushImage, repository: string, tags: readonly string[]): Promise<void>
  close(): void
}

// As Docker and containerd do.
const atOnce = 3

/**
 * Finds a registry, before anything is built for it.
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
    // A registry that is busy is waited for; one that is not there was most likely mistyped.
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
      // The first failure ends the others; none is left running behind the caller's back.
      const abort = new AbortController()
      const either = AbortSignal.any([signal, abort.signal])
      const limit = pLimit(atOnce)
      const pushBlob = async (part: Part) => {
        try {
          either.throwIfAborted()
          const arrival = await retrying(() => sendBlob(client, repository, part, options, either), {
            ...retry,
            signal: either,
          })
          listener({ type: 'blob', ...part, arrival })
        } catch (error) {
          abort.abort(error)
          throw error
        }
      }
      const distinct = new Map(image.blobs.map((part) => [part.digest, part]))
      const settled = await Promise.allSettled([...distinct.values()].map((part) => limit(pushBlob, part)))
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
  part: Part,
  { read, mountFrom, listener }: PushOptions,
  signal: AbortSignal,
): Promise<Arrival> => {
  const from = mountFrom(part.digest)
  async function* open() {
    for await (const chunk of read(part)) {
      yield chunk
      listener({ type: 'sent', bytes: chunk.length })
    }
  }
  return ensureBlob(client, {
    repository,
    digest: part.digest,
    body: { size: part.size, open },
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
    throw refused(client, `to take the manifest of ${repository}:${tag}`, answer)
  const digest = answer.headers['docker-content-digest']
  if (digest === undefined || digest === manifest.digest) return
  throw new RegistryError('REGISTRY_REFUSED', `${client.host} keeps another manifest than it was sent`)
}
