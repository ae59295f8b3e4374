import { createHash, hash } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from './serve.ts'

export type Reply = {
  readonly status: number
  readonly digest: string | undefined
  readonly body: Buffer
  /** Milliseconds from sending the request to the last byte of the response. */
  readonly ms: number
}

type Descriptor = { readonly digest: string; readonly size: number }
export type Manifest = { readonly config: Descriptor; readonly layers: readonly Descriptor[] }

// The media types that podman and containerd send, shortened: they get the OCI manifest.
const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json'
const agent = new Agent({ keepAlive: true, maxSockets: Infinity })

/** One request over a kept-alive connection. By `node:http`, because `fetch` takes a millisecond longer. */
function get({ origin }: Pick<Server, 'origin'>, path: string): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const started = performance.now()
  request(`${origin}${path}`, { agent, headers: { Accept: accept } }, (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('error', reject)
    response.on('end', () => {
      const ms = performance.now() - started
      const digest = response.headers['docker-content-digest']
      resolve({
        status: response.statusCode ?? 0,
        digest: typeof digest === 'string' ? digest : undefined,
        body: Buffer.concat(chunks),
        ms,
      })
    })
  })
    .on('error', reject)
    .end()
  return promise
}

/** The first request of every client; it opens the connection. */
export const ping = async (server: Pick<Server, 'origin'>): Promise<void> => {
  const { status } = await get(server, '/v2/')
  if (status !== 200) throw new Error(`/v2/ returned ${status}`)
}

/** Fetches the manifest of an image by tag. Fails if the bytes do not match the digest in the response. */
export async function pull(server: Pick<Server, 'origin'>, name: string): Promise<Reply> {
  return verified(await get(server, `/v2/${name}/manifests/latest`), name)
}

/** The same, from a server that sends retry responses while it fetches its package set or builds the image. */
export async function pullWhenReady(
  server: Pick<Server, 'origin'>,
  name: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<Reply> {
  for (;;) {
    const answer = await get(server, `/v2/${name}/manifests/latest`)
    if (answer.status !== 429) return verified(answer, name)
    await sleep(1_000, undefined, { signal })
  }
}

/** Pulls a whole image with an empty client: milliseconds, and bytes of its blobs. */
export async function pullAll(
  server: Pick<Server, 'origin'>,
  name: string,
): Promise<{ ms: number; bytes: number; blobs: number }> {
  const started = performance.now()
  const { body } = await pull(server, name)
  const { config, layers } = JSON.parse(body.toString()) as Manifest
  const remaining = [config, ...layers]
  const blobs = remaining.length
  let bytes = 0
  // Three at a time, like containerd and podman.
  const fetchOnwards = async () => {
    for (let next = remaining.shift(); next; next = remaining.shift()) {
      const answer = await get(server, `/v2/${name}/blobs/${next.digest}`)
      verified({ ...answer, digest: next.digest }, next.digest)
      bytes += answer.body.length
    }
  }
  await Promise.all([fetchOnwards(), fetchOnwards(), fetchOnwards()])
  return { ms: performance.now() - started, bytes, blobs }
}

function verified(answer: Reply, what: string): Reply {
  if (answer.status !== 200)
    throw new Error(`${what}: ${answer.status} ${answer.body.toString().slice(0, 500)}`)
  const digest = `sha256:${hash('sha256', answer.body)}`
  if (digest !== answer.digest)
    throw new Error(`${what}: the body has digest ${digest}, not ${answer.digest}`)
  return answer
}

/** The digest of a response body of any size. */
export async function digestServed({ origin }: Pick<Server, 'origin'>, path: string): Promise<string> {
  const response = await fetch(`${origin}${path}`)
  const digest = createHash('sha256')
  for await (const chunk of response.body ?? []) digest.update(chunk)
  return `sha256:${digest.digest('hex')}`
}
