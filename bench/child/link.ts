/**
 * A separate process that forwards TCP connections to a local port like a network link: bytes
 * take half a round trip in each direction, a new connection takes one round trip more, and all responses share
 * one bandwidth. Its argument is `LinkJob` as JSON; it prints its port.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export type LinkJob = {
  /** The target port of 127.0.0.1. */
  readonly port: number
  /** The round trip time, in ms. */
  readonly roundTrip: number
  /** The bandwidth of all responses together, in bytes per second. */
  readonly rate: number
}

const { port, roundTrip, rate } = JSON.parse(process.argv[2] ?? '') as LinkJob
/**
 * The bytes of responses that may be in flight: the bandwidth-delay product, and as much again in a buffer. A
 * larger buffer would delay small responses behind large ones for longer than real links do.
 */
const capacity = Math.max(1024 * 1024, 2 * rate * (roundTrip / 1000))

/** Runs tasks in order, each at its time or later. */
function createQueue(): (at: number, task: () => void) => void {
  const waiting: { readonly at: number; readonly task: () => void }[] = []
  let timer: NodeJS.Timeout | undefined
  const run = () => {
    timer = undefined
    const now = performance.now()
    for (let first = waiting[0]; first && first.at <= now; first = waiting[0]) {
      waiting.shift()
      first.task()
    }
    const [first] = waiting
    if (first) timer = setTimeout(run, Math.max(1, first.at - performance.now()))
  }
  return (at, task) => {
    waiting.push({ at, task })
    timer ??= setTimeout(run, Math.max(1, at - performance.now()))
  }
}

const back = createQueue()
/** The time at which the link has transmitted all pending responses. */
let freeAt = 0

let onLine = 0
/** Resumes the connections that wait for the link. */
const waiting = new Set<() => void>()

/** Forwards bytes from one socket to another. @param arrival returns the time at which bytes arrive */
function pass(
  from: Socket,
  to: Socket,
  queue: ReturnType<typeof createQueue>,
  arrival: (bytes: number) => number,
) {
  const resume = () => {
    if (!to.writableNeedDrain) from.resume()
  }
  to.on('drain', resume)
  from.on('data', (bytes: Buffer) => {
    onLine += bytes.length
    if (onLine >= capacity) {
      from.pause()
      waiting.add(resume)
    }
    queue(arrival(bytes.length), () => {
      onLine -= bytes.length
      if (!to.destroyed && !to.write(bytes)) from.pause()
      if (onLine >= capacity) return
      for (const each of waiting) each()
      waiting.clear()
    })
  })
  from.on('end', () => queue(arrival(0), () => to.end()))
  from.on('error', () => to.destroy())
}

const server = createServer((client) => {
  client.setNoDelay(true)
  const upstream = connect({ port, host: '127.0.0.1', noDelay: true })
  const openAt = performance.now() + roundTrip
  pass(client, upstream, createQueue(), () => Math.max(openAt, performance.now()) + roundTrip / 2)
  pass(upstream, client, back, (bytes) => {
    freeAt = Math.max(freeAt, performance.now()) + (bytes / rate) * 1000
    return freeAt + roundTrip / 2
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
