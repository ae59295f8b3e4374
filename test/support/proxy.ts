import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'

/** The faults of a proxy. */
export type ProxyFaults = {
  /** The minimum size of a response in bytes: the first such response breaks in the middle. */
  readonly cutFrom?: number
  /** The status of the response to the first manifest request, with a Retry-After of 1 s. */
  readonly refuseWith?: number
}

/** A proxy that causes each of its faults once. */
export type Proxy = {
  /** `127.0.0.1:<port>` */
  readonly address: string
  /** The requests: methods and paths, with their queries. */
  readonly requests: readonly string[]
  /** The path of the broken response. */
  readonly cut: () => string | undefined
  stop(): Promise<void>
}

/** @param upstream `127.0.0.1:<port>` of the server */
export async function startProxy(upstream: string, faults: ProxyFaults): Promise<Proxy> {
  const { cutFrom = Infinity } = faults
  let { refuseWith } = faults
  let cut: string | undefined
  const requests: string[] = []
  const pass = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { url: path = '/', method, headers } = incoming
    requests.push(`${method} ${path}`)
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
    requests,
    cut: () => cut,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

// The error code for status 429 (distribution spec, "Error Codes").
const refusal = JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message: 'retry later' }] })

/** Passes about `limit` bytes, then calls `then`. */
function firstBytes(limit: number, then: () => void): Transform {
  let count = 0
  return new Transform({
    transform(chunk: Buffer, _, done) {
      count += chunk.length
      if (count < limit) return done(null, chunk)
      this.push(chunk)
      setTimeout(then, 200) // so that the client receives the bytes written before
    },
  })
}
