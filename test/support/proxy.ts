import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'

/** What a proxy does besides passing on. */
export type Meddling = {
  /** Bytes from which an answer is large: in the middle of the first such one the connection breaks. */
  readonly cutFrom?: number
  /** The first request for a manifest gets this, and its Retry-After is a second. */
  readonly refuseWith?: number
}

/** A proxy that does one thing wrong, once. */
export type Proxy = {
  /** `127.0.0.1:<port>` */
  readonly address: string
  /** What it was asked for: methods and addresses, with their queries. */
  readonly asked: readonly string[]
  /** Path of the answer that was broken. */
  readonly cut: () => string | undefined
  stop(): Promise<void>
}

/** @param upstream `127.0.0.1:<port>` of the server that is asked */
export async function startProxy(upstream: string, meddling: Meddling): Promise<Proxy> {
  const { cutFrom = Infinity } = meddling
  let { refuseWith } = meddling
  let cut: string | undefined
  const asked: string[] = []
  const pass = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { url: path = '/', method, headers } = incoming
    asked.push(`${method} ${path}`)
    if (refuseWith !== undefined && path.includes('/manifests/')) {
      outgoing.writeHead(refuseWith, { 'Content-Type': 'application/json', 'Retry-After': '1' })
      outgoing.end(method === 'HEAD' ? undefined : refusal)
      refuseWith = undefined
      return
    }
    const onward = request(`http://${upstream}${path}`, { method, headers, agent: false }, (answer) => {
      const length = Number(answer.headers['content-length'] ?? 0)
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      if (cut !== undefined || method !== 'GET' || length < cutFrom) return void answer.pipe(outgoing)
      cut = path
      answer.pipe(firstBytes(length / 2, () => outgoing.destroy())).pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    onward.end()
  }
  const server = createServer(pass)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    cut: () => cut,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

// The code that goes with 429 (distribution spec, "Error Codes").
const refusal = JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message: 'come back later' }] })

/** Lets that many bytes through, has them sent, and calls `then`. */
function firstBytes(limit: number, then: () => void): Transform {
  let count = 0
  return new Transform({
    transform(chunk: Buffer, _, done) {
      count += chunk.length
      if (count < limit) return done(null, chunk)
      this.push(chunk)
      setTimeout(then, 200) // what was written before reaches the client
    },
  })
}
