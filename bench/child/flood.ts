/** Sends different wrong passwords at a fixed rate, without waiting for responses. Prints 1 when it has started. */
import { Agent, request } from 'node:http'

const [origin = '', perSecond = '1000'] = process.argv.slice(2)
// The interval between batches, in ms.
const pause = 10
const agent = new Agent({ keepAlive: true, maxSockets: 256 })
const started = performance.now()
let sent = 0

function send(): void {
  sent += 1
  const authorization = `Basic ${Buffer.from(`alice:wrong-${process.pid}-${sent}`).toString('base64')}`
  request(`${origin}/v2/`, { agent, headers: { authorization } }, (response) => response.resume())
    .on('error', () => {}) // the server may stop first
    .end()
}

setInterval(() => {
  // Sends all requests that are due, so that the rate does not depend on the load of the machine.
  const due = Math.floor(((performance.now() - started) / 1000) * Number(perSecond))
  while (sent < due) send()
}, pause)
process.stdout.write('1\n')
