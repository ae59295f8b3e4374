/** Sends so many wrong passwords a second, each another one, whatever the answers are. Prints 1 when it has begun. */
import { Agent, request } from 'node:http'

const [origin = '', perSecond = '1000'] = process.argv.slice(2)
// Milliseconds from one batch to the next.
const pause = 10
const agent = new Agent({ keepAlive: true, maxSockets: 256 })
const started = performance.now()
let sent = 0

function send(): void {
  sent += 1
  const authorization = `Basic ${Buffer.from(`alice:wrong-${process.pid}-${sent}`).toString('base64')}`
  request(`${origin}/v2/`, { agent, headers: { authorization } }, (response) => response.resume())
    .on('error', () => {}) // the server may end first
    .end()
}

setInterval(() => {
  // As many as are due by now: a machine that is busy does not make it a smaller flood.
  const due = Math.floor(((performance.now() - started) / 1000) * Number(perSecond))
  while (sent < due) send()
}, pause)
process.stdout.write('1\n')
