import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { basename, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import {
  describeObject,
  parseRelated,
  storeObject,
  takeChunk,
  type Session,
  type StoredObject,
} from './gcs-objects.ts'
import { makeServiceAccount, signatureFault, type ServiceAccount } from './gcs-signature.ts'

/**
 * A fake of Google Cloud Storage: the part of its JSON API that a blob store needs, and downloads by signed URL. It is
 * strict: it refuses requests that it does not know and records each as a complaint.
 */
export type Gcs = {
  readonly endpoint: string
  /** An account that may sign requests for every bucket. */
  readonly account: ServiceAccount
  readonly complaints: readonly string[]
  /** The number of unfinished resumable uploads. */
  readonly unfinished: number
  makeBucket(name: string, options?: BucketOptions): void
  removeBucket(name: string): void
  objects(bucket: string): StoredObject[]
  writeObject(bucket: string, name: string, contentType: string, bytes: Uint8Array): Promise<void>
  stop(): Promise<void>
}

export type BucketOptions = {
  /** Permissions that clients lack, such as `storage.objects.create`. */
  readonly withheld?: readonly string[]
  /** Whether anyone may download. */
  readonly isPublic?: boolean
}

type Bucket = BucketOptions & { readonly objects: Map<string, StoredObject> }
type Exchange = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly url: URL }

// The size of every chunk but the last must be a multiple of this.
const chunkUnit = 256 * 1024

/** Starts the fake over an empty folder, on a free port of 127.0.0.1. */
export async function startGcs(folder: string): Promise<Gcs> {
  const account = await makeServiceAccount(join(folder, 'key.json'))
  const buckets = new Map<string, Bucket>()
  const sessions = new Map<string, Session>()
  const complaints: string[] = []
  const files = join(folder, 'objects')
  await mkdir(files)

  const json = ({ response }: Exchange, status: number, body: unknown) =>
    void response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  const refuse = (exchange: Exchange, code: number, message: string) =>
    json(exchange, code, {
      error: { code, message, errors: [{ message, domain: 'global', reason: 'test' }] },
    })
  const complain = (exchange: Exchange, what: string) => {
    complaints.push(`${exchange.request.method} ${exchange.request.url}: ${what}`)
    refuse(exchange, 400, what)
  }
  const resource = (bucket: string, { file, ...object }: StoredObject) => ({
    kind: 'storage#object',
    id: `${bucket}/${object.name}/${basename(file)}`,
    bucket,
    ...object,
    size: String(object.size),
  })

  const finish = async (exchange: Exchange, bucket: string, object: StoredObject) => {
    buckets.get(bucket)?.objects.set(object.name, object)
    json(exchange, 200, resource(bucket, object))
  }

  async function upload(exchange: Exchange, name: string, bucket: Bucket): Promise<void> {
    const { request, response, url } = exchange
    const object = url.searchParams.get('name')
    if (request.method !== 'POST' || object === null) return complain(exchange, 'no such upload')
    if (bucket.withheld?.includes('storage.objects.create')) return refuse(exchange, 403, 'no create access')
    if (url.searchParams.get('uploadType') === 'resumable') {
      const { contentType } = JSON.parse((await buffer(request)).toString() || '{}') as {
        contentType?: string
      }
      const type = request.headers['x-upload-content-type'] ?? contentType
      const announced = request.headers['x-upload-content-length']
      const id = randomUUID()
      const file = join(files, id)
      await writeFile(file, '')
      sessions.set(id, {
        bucket: name,
        name: object,
        contentType: String(type),
        announced: announced === undefined ? undefined : Number(announced),
        file,
        received: 0,
      })
      // The client's host, because it may use a proxy.
      response
        .writeHead(200, { Location: `http://${request.headers.host}${url.pathname}?upload_id=${id}` })
        .end()
      return
    }
    const parsed = parseRelated(request.headers['content-type'] ?? '', await buffer(request))
    if (!parsed) return complain(exchange, 'not multipart/related')
    const { metadata, contentType, bytes } = parsed
    const stored = await storeObject(files, object, metadata.contentType ?? contentType, bytes)
    const isRefused = url.searchParams.get('ifGenerationMatch') === '0' && bucket.objects.has(object)
    if (isRefused) return refuse(exchange, 412, 'conditionNotMet')
    return finish(exchange, name, stored)
  }

  async function chunk(exchange: Exchange, id: string): Promise<void> {
    const { request, response } = exchange
    const session = sessions.get(id)
    if (!session) return refuse(exchange, 404, 'no such upload')
    const range = /^bytes (?:\*|(?<from>\d+)-(?<to>\d+))\/(?<total>\d+|\*)$/.exec(
      request.headers['content-range'] ?? '',
    )
    if (!range?.groups) return complain(exchange, `bad Content-Range: ${request.headers['content-range']}`)
    const { from, to, total } = range.groups
    if (from !== undefined) {
      const length = Number(to) - Number(from) + 1
      if (Number(from) !== session.received) return refuse(exchange, 503, 'not the next chunk')
      if (String(length) !== request.headers['content-length'])
        return complain(exchange, 'wrong length of a chunk')
      if (total === '*' && length % chunkUnit !== 0) return complain(exchange, `a chunk of ${length} bytes`)
      if (!(await takeChunk(session, request, chunkUnit))) return
    }
    if (total !== '*' && session.announced !== undefined && Number(total) !== session.announced)
      return complain(exchange, `${session.announced} bytes were announced, not ${total}`)
    if (total !== '*' && Number(total) === session.received) {
      sessions.delete(id)
      return finish(
        exchange,
        session.bucket,
        await describeObject(session.name, session.contentType, session.file),
      )
    }
    const range308 = session.received > 0 ? { Range: `bytes=0-${session.received - 1}` } : {}
    response.writeHead(308, { ...range308, 'Content-Length': 0 }).end()
  }

  async function download({ request, response }: Exchange, object: StoredObject): Promise<void> {
    const range = /^bytes=(?<start>\d+)-(?<end>\d*)$/.exec(request.headers.range ?? '')?.groups
    const start = Number(range?.['start'] ?? 0)
    const end = range?.['end'] ? Math.min(Number(range['end']), object.size - 1) : object.size - 1
    response.writeHead(range ? 206 : 200, {
      'Content-Type': object.contentType,
      'Content-Length': object.size === 0 ? 0 : end - start + 1,
      'x-goog-stored-content-encoding': 'identity',
      'x-goog-hash': `crc32c=${object.crc32c},md5=${object.md5Hash}`,
      ...(range && { 'Content-Range': `bytes ${start}-${end}/${object.size}` }),
    })
    if (object.size === 0) response.end()
    else await pipeline(createReadStream(object.file, { start, end }), response)
  }

  /** Lists objects in small pages, so that clients must follow page tokens. */
  function list(exchange: Exchange, name: string, bucket: Bucket): void {
    const { searchParams } = exchange.url
    const after = searchParams.get('pageToken') ?? ''
    const left = [...bucket.objects.keys()]
      .filter((key) => key.startsWith(searchParams.get('prefix') ?? '') && key > after)
      .sort()
    const page = left.slice(0, 2)
    const items = page.flatMap((key) => bucket.objects.get(key) ?? []).map((object) => resource(name, object))
    const last = page.at(-1)
    const nextPageToken = left.length > page.length ? last : undefined
    json(exchange, 200, { kind: 'storage#objects', items, nextPageToken })
  }

  async function answer(exchange: Exchange): Promise<void> {
    const { request, url } = exchange
    const [, service, bucketName = '', name] =
      /^\/(?:(storage\/v1\/b|upload\/storage\/v1\/b)\/)?([^/]+)(?:\/(.+))?$/.exec(url.pathname) ?? []
    if (request.headers.authorization !== undefined)
      return complain(exchange, 'the client sent an unexpected token')
    const bucket = buckets.get(bucketName)
    if (!bucket) return refuse(exchange, 404, 'The specified bucket does not exist.')
    if (service === undefined) {
      const object = bucket.objects.get(decodeURIComponent(name ?? ''))
      const signed = { method: request.method ?? '', url, headers: request.headers }
      const fault = bucket.isPublic ? undefined : signatureFault(signed, account, Date.now())
      if (fault !== undefined) return refuse(exchange, 403, fault)
      if (request.method !== 'GET') return complain(exchange, 'not supported')
      return object ? download(exchange, object) : refuse(exchange, 404, 'The specified key does not exist.')
    }
    if (service.startsWith('upload')) {
      const id = url.searchParams.get('upload_id')
      return id === null ? upload(exchange, bucketName, bucket) : chunk(exchange, id)
    }
    const withheld = new Set(bucket.withheld)
    if (request.method === 'GET' && name === undefined) {
      if (withheld.has('storage.buckets.get')) return refuse(exchange, 403, 'no storage.buckets.get access')
      return json(exchange, 200, { kind: 'storage#bucket', name: bucketName })
    }
    if (request.method === 'GET' && name === 'iam/testPermissions') {
      const requested = url.searchParams.getAll('permissions')
      return json(exchange, 200, { permissions: requested.filter((permission) => !withheld.has(permission)) })
    }
    if (request.method === 'GET' && name === 'o') return list(exchange, bucketName, bucket)
    const objectName = /^o\/([^/]+)$/.exec(name ?? '')?.[1]
    if (objectName === undefined) return complain(exchange, 'not supported')
    const decoded = decodeURIComponent(objectName)
    const object = bucket.objects.get(decoded)
    if (!object) return refuse(exchange, 404, `No such object: ${bucketName}/${decoded}`)
    if (request.method === 'DELETE') {
      bucket.objects.delete(decoded)
      exchange.response.writeHead(204).end()
    } else if (request.method !== 'GET') complain(exchange, 'not supported')
    else if (url.searchParams.get('alt') === 'media') await download(exchange, object)
    else json(exchange, 200, resource(bucketName, object))
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`)
    // Some tests break connections on purpose.
    answer({ request, response, url }).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  return {
    endpoint: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    account,
    complaints,
    get unfinished() {
      return sessions.size
    },
    makeBucket: (name, options = {}) => void buckets.set(name, { ...options, objects: new Map() }),
    removeBucket: (name) => void buckets.delete(name),
    objects: (name) => [...(buckets.get(name)?.objects.values() ?? [])],
    async writeObject(bucket, name, contentType, bytes) {
      buckets.get(bucket)?.objects.set(name, await storeObject(files, name, contentType, bytes))
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}
