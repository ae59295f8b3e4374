import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { digestOf } from '../image/digest.ts'

/** A request that the double received. */
export type ReceivedRequest = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly authorization: string | undefined
  readonly body: Buffer
}

/** Misbehaviour of the double; returns true if it has responded. */
export type Mischief = (request: IncomingMessage, response: ServerResponse) => boolean | undefined

/** A registry for tests that accepts exactly what the distribution spec demands of a client. */
export type Double = {
  /** `127.0.0.1:<port>` */
  readonly host: string
  readonly seen: readonly ReceivedRequest[]
  /** Digests by repository. */
  readonly repositories: ReadonlyMap<string, ReadonlySet<string>>
  /** Manifests by `repository:tag`. */
  readonly manifests: ReadonlyMap<string, Buffer>
  mischief: Mischief | undefined
  /** Which `Authorization` is accepted, and the challenge for all others. */
  demand: { accepts(authorization: string | undefined): boolean; readonly challenge: string } | undefined
  /** The upload location; by default the relative URL of the session. */
  location: ((session: string) => string) | undefined
  /** Ends all misbehaviour, and forgets the received requests. */
  reset(): void
  close(): Promise<void>
}

export async function openDouble(): Promise<Double> {
  const repositories = new Map<string, Set<string>>()
  const manifests = new Map<string, Buffer>()
  const sessions = new Map<string, string>()
  const seen: ReceivedRequest[] = []
  const repository = (name: string) => {
    const blobs = repositories.get(name) ?? new Set<string>()
    repositories.set(name, blobs)
    return blobs
  }

  const begin = (name: string, query: URLSearchParams, response: ServerResponse) => {
    const [mount, from] = [query.get('mount'), query.get('from')]
    if (mount !== null && from !== null && repositories.get(from)?.has(mount)) {
      repository(name).add(mount)
      return response.writeHead(201, { Location: `/v2/${name}/blobs/${mount}` }).end()
    }
    const session = `/v2/${name}/blobs/uploads/${randomUUID()}?_state=a%2Fb%3D%3D`
    sessions.set(session, name)
    return response.writeHead(202, { Location: double.location?.(session) ?? session }).end()
  }

  const finish = (
    { path, query, body }: ReceivedRequest,
    request: IncomingMessage,
    response: ServerResponse,
  ) => {
    const digest = query.get('digest') ?? ''
    const session = (request.url ?? '').replace(/&digest=[^&]*$/, '')
    const name = sessions.get(session)
    sessions.delete(session)
    if (name === undefined) return problem(response, 404, 'BLOB_UPLOAD_UNKNOWN', `no session ${path}`)
    if (request.headers['content-length'] !== String(body.length))
      return problem(response, 411, 'SIZE_INVALID')
    if (request.headers['content-type'] !== 'application/octet-stream')
      return problem(response, 415, 'UNSUPPORTED')
    if (digestOf(body) !== digest) return problem(response, 400, 'DIGEST_INVALID')
    repository(name).add(digest)
    return response.writeHead(201, { Location: `/v2/${name}/blobs/${query.get('digest')}` }).end()
  }

  const manifest = (name: string, tag: string, { body }: ReceivedRequest, response: ServerResponse) => {
    const { config, layers } = JSON.parse(body.toString()) as {
      config: { digest: string }
      layers: { digest: string }[]
    }
    const missing = [config, ...layers].find(({ digest }) => !repository(name).has(digest))
    if (missing) return problem(response, 400, 'MANIFEST_BLOB_UNKNOWN', missing.digest)
    manifests.set(`${name}:${tag}`, body)
    return response.writeHead(201, { 'Docker-Content-Digest': digestOf(body) }).end()
  }

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (double.mischief?.(request, response)) return undefined
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://double')
    const { authorization } = request.headers
    const one = {
      method: request.method ?? '',
      path: pathname,
      query: searchParams,
      authorization,
      body: await buffer(request),
    }
    seen.push(one)
    if (double.demand && !double.demand.accepts(authorization)) {
      response.setHeader('WWW-Authenticate', double.demand.challenge)
      return problem(response, 401, 'UNAUTHORIZED')
    }
    if (pathname === '/v2/') return response.end('{}')
    const [, name = '', kind, rest = ''] = /^\/v2\/(.+)\/(blobs|manifests)\/(.+)$/.exec(pathname) ?? []
    const isUpload = rest.startsWith('uploads/')
    if (kind === 'manifests' && one.method === 'PUT') return manifest(name, rest, one, response)
    if (kind === 'blobs' && one.method === 'POST' && rest === 'uploads/')
      return begin(name, searchParams, response)
    if (kind === 'blobs' && one.method === 'PUT' && isUpload) return finish(one, request, response)
    if (kind === 'blobs' && one.method === 'HEAD') {
      return response.writeHead(repository(name).has(rest) ? 200 : 404).end()
    }
    return problem(response, 405, 'UNSUPPORTED')
  }

  // Clients that disconnect are ignored.
  const server = createServer((request, response) => void answer(request, response).catch(() => {}))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const double: Double = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    repositories,
    manifests,
    mischief: undefined,
    demand: undefined,
    location: undefined,
    reset() {
      Object.assign(double, { mischief: undefined, demand: undefined, location: undefined })
      seen.length = 0
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
  return double
}

function problem(response: ServerResponse, status: number, code: string, message = ''): ServerResponse {
  return response
    .writeHead(status, { 'Content-Type': 'application/json' })
    .end(JSON.stringify({ errors: [{ code, message }] }))
}
