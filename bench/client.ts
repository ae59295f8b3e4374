import { createHash, hash } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from './serve.ts'

export type Answer = {
  readonly status: number
  readonly digest: string | undefined
  readonly body: Buffer
  /** Milliseconds from sending the request to the last byte of the answer. */
  readonly ms: number
}

type Descriptor = { readonly digest: string; readonly size: number }
export type Manifest = { readonly config: Descriptor; readonly layers: readonly Descriptor[] }

// What podman and containerd send, shortened: the OCI form is answered.
const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json'
const agent = new Agent({ keepAlive: true, maxSockets: Infinity })

/** One request over a connection that is kept. Node's own client: one of `fetch` takes a millisecond more. */
function get({ origin }: Pick<Server, 'origin'>, path: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
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

/** What every client asks first. Opens the connection, too. */
export const ping = async (server: Pick<Server, 'origin'>): Promise<void> => {
  const { status } = await get(server, '/v2/')
  if (status !== 200) throw new Error(`/v2/ was answered with ${status}`)
}

/** The manifest of an image by its tag. Fails unless the bytes are those that its digest says. */
export async function pull(server: Pick<Server, 'origin'>, name: string): Promise<Answer> {
  return verified(await get(server, `/v2/${name}/manifests/latest`), name)
}

/** The same from a server that may still be fetching its package set, and asks its clients to try again meanwhile. */
export async function pullOnceFetched(
  server: Pick<Server, 'origin'>,
  name: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<Answer> {
  for (;;) {
    const answer = await get(server, `/v2/${name}/manifests/latest`)
    if (answer.status !== 429) return verified(answer, name)
    await sleep(1_000, undefined, { signal })
  }
}

/** All of an image by one client that has nothing: milliseconds, and bytes of its blobs. */
export async function pullAll(
  server: Pick<Server, 'origin'>,
  name: string,
): Promise<{ ms: number; bytes: number; blobs: number }> {
  const started = performance.now()
  const { body } = await pull(server, name)
  const { config, layers } = JSON.parse(body.toString()) as Manifest
  const waiting = [config, ...layers]
  const blobs = waiting.length
  let bytes = 0
  // As many at once as containerd and podman fetch.
  const fetchOnwards = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const answer = await get(server, `/v2/${name}/blobs/${next.digest}`)
      verified({ ...answer, digest: next.digest }, next.digest)
      bytes += answer.body.length
    }
  }
  await Promise.all([fetchOnwards(), fetchOnwards(), fetchOnwards()])
  return { ms: performance.now() - started, bytes, blobs }
}

function verified(answer: Answer, what: string): Answer {
  if (answer.status !== 200)
    throw new Error(`${what}: ${answer.status} ${answer.body.toString().slice(0, 500)}`)
  const digest = `sha256:${hash('sha256', answer.body)}`
  if (digest !== answer.digest)
    throw new Error(`${what}: the answer has digest ${digest}, not ${answer.digest}`)
  return answer
}

/** The digest of what a server answers, however large it is. */
export async function digestServed({ origin }: Pick<Server, 'origin'>, path: string): Promise<string> {
  const response = await fetch(`${origin}${path}`)
  const digest = createHash('sha256')
  for await (const chunk of response.body ?? []) digest.update(chunk)
  return `sha256:${digest.digest('hex')}`
}
