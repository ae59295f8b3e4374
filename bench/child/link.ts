/**
 * A process of its own that passes TCP connections on to a port of this machine as a line to another place would: bytes
 * take half a round trip in each direction, a new connection takes one round trip more, and all that comes back shares
 * one rate. Its argument is `LinkJob` as JSON; it prints its port.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export type LinkJob = {
  /** The port of 127.0.0.1 that connections lead to. */
  readonly port: number
  /** Milliseconds from a request to its answer. */
  readonly roundTrip: number
  /** Bytes a second of all answers together. */
  readonly rate: number
}

const { port, roundTrip, rate } = JSON.parse(process.argv[2] ?? '') as LinkJob
/**
 * Bytes of all answers that may be on the line at once: what fits on it, and as much again in the buffer before it. A
 * larger buffer would make small answers wait behind large ones for longer than lines do.
 */
const capacity = Math.max(1024 * 1024, 2 * rate * (roundTrip / 1000))

/** Runs tasks in order, none before its time. */
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
/** When the line has passed on all that came back. */
let freeAt = 0

let onLine = 0
/** Continues the connections that wait for the line. */
const waiting = new Set<() => void>()

/** Passes on what comes from one socket to another. @param arrival says when bytes are there */
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
