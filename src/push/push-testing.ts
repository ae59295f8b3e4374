import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { NixeryError } from '../errors.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'
import type { Credentials } from './credentials.ts'
import { openPush, type PushEvent, type PushImage } from './push.ts'

const contents = new Map<Digest, Buffer>()
const partOf = (bytes: Buffer) => {
  const digest = digestOf(bytes)
  contents.set(digest, bytes)
  return { digest, size: bytes.length }
}

/** An image with new blobs: a config, and layers of the given sizes. */
export function imageOf(...sizes: number[]): PushImage {
  const [config, ...layers] = [200, ...sizes].map((size) => partOf(randomBytes(size)))
  const text = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.oci.manifest, config, layers })
  const bytes = Buffer.from(text)
  const blobs = [config, ...layers].flatMap((part) => part ?? [])
  return { form: 'oci', manifest: { ...partOf(bytes), bytes }, blobs }
}

/** The content of a blob of such an image. */
export async function* content({ digest }: { digest: Digest }): AsyncGenerator<Uint8Array> {
  const bytes = contents.get(digest) ?? Buffer.alloc(0)
  for (let from = 0; from < bytes.length; from += 65_536) yield bytes.subarray(from, from + 65_536)
}

export type More = {
  credentials?: Credentials
  mountFrom?: string
  tags?: string[]
  insecure?: boolean
  signal?: AbortSignal
  read?: (part: { digest: Digest }) => AsyncIterable<Uint8Array>
  /** Receives the events, even if the push fails. */
  events?: PushEvent[]
}

/** Pushes to a registry over plain HTTP, and returns the events. */
export async function pushTo(
  host: string,
  image: PushImage,
  repository: string,
  more: More = {},
): Promise<PushEvent[]> {
  const { events = [] } = more
  const pushing = await openPush(
    { host },
    {
      credentials: more.credentials,
      insecure: more.insecure ?? false,
      mountFrom: () => more.mountFrom,
      read: more.read ?? content,
      listener: (event) => events.push(event),
      signal: more.signal ?? new AbortController().signal,
      firstDelay: 1,
    },
  )
  try {
    await pushing.push(image, repository, more.tags ?? ['latest'])
    return events
  } finally {
    pushing.close()
  }
}

/** For `assert.rejects`: matches a NixeryError. */
export const failsWith = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof NixeryError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}
