import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { pipeline, Transform } from 'node:stream'
import { hasCode, type ErrorCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import type { Blob, BlobStore } from './store.ts'

/** A service with buckets, as the suite sees it, and the store over it. */
export type RemoteService = {
  readonly endpoint: string
  makeBucket(): Promise<string>
  /** Removes a bucket with all that is in it. */
  removeBucket(bucket: string): Promise<void>
  objects(bucket: string): Promise<readonly { name: string; size: number; contentType: string }[]>
  writeObject(bucket: string, name: string, contentType: string, bytes: Uint8Array): Promise<void>
  /** Uploads in parts that were begun and are neither finished nor given up. */
  unfinished(bucket: string): Promise<number>
  /** Opens the store in a spool folder of its own, which must answer within `timeout` seconds. */
  open(bucket: string, options?: { endpoint?: string; timeout?: number }): Promise<BlobStore>
}

/** A layer of these bytes. */
export const blobOf = (bytes: Uint8Array): Blob => ({
  digest: digestOf(bytes),
  size: bytes.length,
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
})
/** Asserts that work fails with this code. */
export const failsWith = (code: ErrorCode, work: Promise<unknown>): Promise<void> =>
  assert.rejects(work, (error) => hasCode(error, code))

/** Writes bytes to a file in the store's spool folder. */
export async function spooled(store: BlobStore, bytes: Uint8Array): Promise<string> {
  const file = join(store.spoolDirectory, randomUUID())
  await writeFile(file, bytes)
  return file
}

/** What goes wrong on connections that are made from now on. */
export type Fault = {
  /** How many connections it happens to; those after them are passed on. */
  readonly times: number
} & (
  | { readonly kind: 'status'; readonly status: number }
  /** Nothing is ever answered. */
  | { readonly kind: 'silence' }
  /** Breaks the connection after so many bytes of the client's, or of the service's. */
  | { readonly kind: 'cut upload' | 'cut download'; readonly after: number }
  /** Passes so many bytes of the service's, and no more. */
  | { readonly kind: 'stall download'; readonly after: number }
)

/** A TCP proxy on 127.0.0.1 that can fail as networks and services do. */
export type FaultyProxy = {
  readonly endpoint: string
  /** Bytes of clients that were passed on so far. */
  readonly uploaded: number
  /** Breaks all connections, and treats new ones so from now on. */
  fail(fault: Fault): void
  /** Passes everything on again. */
  heal(): void
  stop(): Promise<void>
}

/** @param target the service's address, with a port */
export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let uploaded = 0
  let fault: Fault | undefined
  let left = 0

  const track = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    return socket
  }
  const server = createServer((client) => {
    track(client)
    const acute = left > 0 ? fault : undefined
    if (acute?.kind === 'silence') {
      left -= 1
      client.resume()
      return
    }
    if (acute?.kind === 'status') {
      client.once('data', () => {
        left -= 1
        client.end(`HTTP/1.1 ${acute.status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
        client.resume()
      })
      return
    }
    const service = track(connect(Number(port), hostname))
    const up = passing((length, total) => {
      uploaded += length
      if (acute?.kind !== 'cut upload' || total <= acute.after) return 'pass'
      left -= 1
      return 'break'
    })
    const down = passing((_, total) => {
      if (acute?.kind !== 'cut download' && acute?.kind !== 'stall download') return 'pass'
      if (total <= acute.after) return 'pass'
      left -= 1
      return acute.kind === 'cut download' ? 'break' : 'stall'
    })
    pipeline(client, up, service, () => client.destroy())
    pipeline(service, down, client, () => service.destroy())
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    endpoint: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    get uploaded() {
      return uploaded
    },
    fail(next) {
      fault = next
      left = next.times
      breakAll()
    },
    heal() {
      left = 0
      breakAll()
    },
    async stop() {
      breakAll()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}

/** Passes bytes on for as long as `judge`, which is told the length of each piece and of all so far, says so. */
function passing(judge: (length: number, total: number) => 'pass' | 'break' | 'stall'): Transform {
  let total = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      total += chunk.length
      const verdict = judge(chunk.length, total)
      if (verdict === 'pass') done(null, chunk)
      else if (verdict === 'break') done(new Error('broken on purpose'))
      // Stalled: never done.
    },
  })
}
