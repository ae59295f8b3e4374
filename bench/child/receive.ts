/**
 * A client with minimal work: it reads into one buffer and parses only the end of the header. Its argument is a
 * `ReceiveJob` as JSON; it prints the milliseconds of each round, from connecting to the last byte.
 */
import { connect } from 'node:net'

export type ReceiveJob = {
  readonly port: number
  /** The request to send; empty if the server does not speak HTTP. */
  readonly request: string
  /** The bytes expected after the header. */
  readonly size: number
  readonly rounds: number
}

const job = JSON.parse(process.argv[2] ?? '') as ReceiveJob
const buffer = Buffer.allocUnsafe(1024 * 1024)

function receive(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const started = performance.now()
  let expected = job.request === '' ? job.size : undefined
  let received = 0
  const socket = connect({
    port: job.port,
    host: '127.0.0.1',
    onread: {
      buffer,
      callback(length, bytes) {
        received += length
        if (expected === undefined) {
          const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('latin1')
          if (!text.startsWith('HTTP/1.1 200')) reject(new Error(text.slice(0, 200)))
          expected = job.size + text.indexOf('\r\n\r\n') + 4
        }
        if (received === expected) {
          resolve(performance.now() - started)
          socket.destroy()
        }
        return true
      },
    },
  })
  socket.on('error', reject)
  socket.on('close', () => reject(new Error(`${received} bytes received, expected ${expected}`)))
  if (job.request !== '') socket.write(job.request)
  return promise
}

const ms: number[] = []
await receive()
for (let round = 0; round < job.rounds; round++) ms.push(await receive())
process.stdout.write(JSON.stringify(ms))
