import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { pipeline, Transform } from 'node:stream'
import { hasCode, type ErrorCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import type { Blob, BlobStore } from './store.ts'

/** A bucket service for tests, and the store that uses it. */
export type RemoteService = {
  readonly endpoint: string
  makeBucket(): Promise<string>
  /** Removes a bucket and its objects. */
  removeBucket(bucket: string): Promise<void>
  objects(bucket: string): Promise<readonly { name: string; size: number; contentType: string }[]>
  writeObject(bucket: string, name: string, contentType: string, bytes: Uint8Array): Promise<void>
  /** Counts multipart uploads that are neither completed nor aborted. */
  unfinished(bucket: string): Promise<number>
  /** Opens the store with a new spool folder. The service must answer within `timeout` seconds. */
  open(bucket: string, options?: { endpoint?: string; timeout?: number }): Promise<BlobStore>
}

/** Describes these bytes as a layer. */
export const blobOf = (bytes: Uint8Array): Blob => ({
  digest: digestOf(bytes),
  size: bytes.length,
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
})
/** Asserts that the work fails with this code. */
export const failsWith = (code: ErrorCode, work: Promise<unknown>): Promise<void> =>
  assert.rejects(work, (error) => hasCode(error, code))

/** Writes bytes to a file in the store's spool folder. */
export async function spooled(store: BlobStore, bytes: Uint8Array): Promise<string> {
  const file = join(store.spoolDirectory, randomUUID())
  await writeFile(file, bytes)
  return file
}

/** A fault of new connections. */
export type Fault = {
  /** The number of affected connections; later ones work. */
  readonly times: number
} & (
  | { readonly kind: 'status'; readonly status: number }
  /** Never responds. */
  | { readonly kind: 'silence' }
  /** Breaks the connection after this many bytes from the client, or from the service. */
  | { readonly kind: 'cut upload' | 'cut download'; readonly after: number }
  /** Stops after this many bytes from the service. */
  | { readonly kind: 'stall download'; readonly after: number }
)

/** A TCP proxy on 127.0.0.1 that simulates failures of networks and services. */
export type FaultyProxy = {
  readonly endpoint: string
  /** Bytes that clients have sent so far. */
  readonly uploaded: number
  /** Breaks all connections, and applies the fault to new ones. */
  fail(fault: Fault): void
  /** Ends the fault. */
  heal(): void
  stop(): Promise<void>
}

/** @param target the URL of the service, with a port */
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
    const active = left > 0 ? fault : undefined
    if (active?.kind === 'silence') {
      left -= 1
      client.resume()
      return
    }
    if (active?.kind === 'status') {
      client.once('data', () => {
        left -= 1
        client.end(`HTTP/1.1 ${active.status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
        client.resume()
      })
      return
    }
    const service = track(connect(Number(port), hostname))
    const up = passWhile((length, total) => {
      uploaded += length
      if (active?.kind !== 'cut upload' || total <= active.after) return 'pass'
      left -= 1
      return 'break'
    })
    const down = passWhile((_, total) => {
      if (active?.kind !== 'cut download' && active?.kind !== 'stall download') return 'pass'
      if (total <= active.after) return 'pass'
      left -= 1
      return active.kind === 'cut download' ? 'break' : 'stall'
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

/** Passes bytes on while `judge` allows it; it gets the length of the chunk and the total so far. */
function passWhile(judge: (length: number, total: number) => 'pass' | 'break' | 'stall'): Transform {
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
