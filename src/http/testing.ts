import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { allowAll } from '../access/may.ts'
import { createBlobs, type Blobs } from '../builds/blobs.ts'
import { buildsOf } from '../builds/builds-testing.ts'
import { publishImage, type Image } from '../builds/image.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { NixeryError } from '../errors.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { amd64, arm64, type Platform } from '../image/platform.ts'
import { plainTexts } from '../text/public.ts'
import { openFileStore } from '../store/fs.ts'
import type { AccessLogEntry } from './access-log.ts'
import { createApp, type App, type AppDeps } from './app.ts'
import { errorReply } from './errors.ts'
import { textReply } from './reply.ts'
import type { TableRoute } from './route-table.ts'
import { listen } from './server.ts'
import { createWebFetch, type WebFetch } from './web-fetch-testing.ts'
import { createHasher } from '../store/hasher.ts'

/** A response, read to its end. */
export type TestResponse = {
  readonly status: number
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export type TestRequest = { readonly method?: string; readonly headers?: Readonly<Record<string, string>> }

/** Sends requests to a registry, without a server or over a real one, which gets paths unchanged. */
export type TestClient = {
  readonly name: string
  fetch(path: string, request?: TestRequest): Promise<TestResponse>
}

/** A registry with real blobs and existing images. */
export type TestRegistry = {
  /** Without a server. */
  readonly fetch: WebFetch
  readonly port: number
  readonly clients: readonly [inProcess: TestClient, overServer: TestClient]
  readonly blobs: Blobs
  readonly image: Image
  /** A blob, with its bytes. */
  readonly blob: { readonly digest: Digest; readonly bytes: Buffer }
  readonly accessLog: readonly AccessLogEntry[]
  /** Another registry over the same blobs. */
  with(deps: Partial<AppDeps>): Promise<TestRegistry>
  dispose(): Promise<void>
}

/** A registry with the tag `latest` and those of `deps`, and all packages except `nope`. */
export async function openTestRegistry(deps: Partial<AppDeps> = {}): Promise<TestRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-http-'))
  const catalog = await openSqliteCatalog(':memory:')
  const store = await openFileStore(join(folder, 'store'))
  const blobs = createBlobs({ store, catalog, hasher: createHasher(store) })
  const bytes = randomBytes(1_500_000)
  const blob = { digest: digestOf(bytes), bytes }
  await blobs.publish({ digest: blob.digest, size: bytes.length, mediaType: 'x/y' }, { bytes })
  const layer = { digest: blob.digest, diffId: blob.digest, size: bytes.length, compression: 'gzip' } as const
  const make = (platform: Platform) =>
    publishImage(blobs, { platform, config: { env: [] } }, [{ layer, comment: 'a layer' }])
  const images = { amd64: await make(amd64), arm64: await make(arm64) }

  const open = async (given: Partial<AppDeps>, closed: () => Promise<void>): Promise<TestRegistry> => {
    const accessLog: AccessLogEntry[] = []
    const all: AppDeps = {
      may: allowAll,
      builds: buildsOf(({ packages, platform, tag }) => {
        if (packages.includes('nope')) return refuse('PACKAGE_UNKNOWN', 'Could not find Nix packages: [nope]')
        if (tag !== 'latest') return refuse('MANIFEST_UNKNOWN', 'there is no such tag')
        return Promise.resolve(images[platform.architecture])
      }),
      texts: plainTexts,
      blobs,
      store,
      platforms: [amd64],
      source: { tags: () => Promise.resolve(['latest']) },
      pulled: { tags: () => Promise.resolve([]), repositories: () => Promise.resolve([]) },
      pages: () => somePage,
      listener: (entry) => accessLog.push(entry),
      ...given,
    }
    const fetch = createWebFetch(all)
    const server = await listen(createApp(all), { host: '127.0.0.1', port: 0 })
    return {
      fetch,
      port: server.port,
      clients: [inProcess(fetch), overServer(server.port)],
      blobs,
      image: images.amd64,
      blob,
      accessLog,
      with: (more) => open({ ...given, ...more }, () => Promise.resolve()),
      async dispose() {
        await server.close(1)
        await closed()
      },
    }
  }
  return open(deps, async () => {
    await catalog.close()
    await rm(folder, { recursive: true, force: true })
  })
}

const refuse = (code: 'PACKAGE_UNKNOWN' | 'MANIFEST_UNKNOWN', message: string) =>
  Promise.reject(new NixeryError(code, message))

const somePage: TableRoute = {
  action: 'pull',
  subject: 'public',
  reply: () => textReply(200, 'text/plain', 'a page'),
}

const inProcess = (fetch: WebFetch): TestClient => ({
  name: 'without a server',
  async fetch(path, request = {}) {
    const response = await fetch(path, request)
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: Buffer.from(await response.arrayBuffer()),
    }
  },
})

const overServer = (port: number): TestClient => ({
  name: 'over a server',
  async fetch(path, { method = 'GET', headers = {} } = {}) {
    const outgoing = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false })
    outgoing.end()
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    const body = await buffer(incoming)
    return { status: incoming.statusCode ?? 0, headers: incoming.headers as Record<string, string>, body }
  },
})

/** The codes that the distribution spec has ("Error Codes"). */
const specCodes: readonly string[] =
  'BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID \
MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS'.split(
    ' ',
  )

/** The code of a failure, after checking its format against the spec. */
export function codeOf({ status, headers, body }: TestResponse): string {
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers['content-length'], String(body.length))
  const { errors } = JSON.parse(body.toString()) as { errors: { code: string; message: string }[] }
  const [error] = errors
  assert.ok(error && typeof error.message === 'string' && error.message !== '')
  if (status < 500) assert.ok(specCodes.includes(error.code), error.code)
  return error.code
}

// Headers of the connection, and those that differ in each response.
const passing = new Set(['connection', 'keep-alive', 'date', 'x-request-id'])

/** The headers that are the registry's own. */
export const lasting = (headers: TestResponse['headers']): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !passing.has(name)))

/** The parts of the app that the server needs besides `handle`. */
export const refuseRequest: App['refuse'] = (_, failure, status) =>
  errorReply(failure, plainTexts, status === undefined ? {} : { status })
