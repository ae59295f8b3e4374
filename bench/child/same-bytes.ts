/**
 * A bare `node:http` server that always sends the given status, headers and body: the cost of Node's HTTP for the same
 * bytes. Its argument is JSON with the body as base64. Prints its port.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type SameBytes = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const { status, headers, body: encoded } = JSON.parse(process.argv[2] ?? '') as SameBytes
const body = Buffer.from(encoded, 'base64')

const server = createServer((_request, response) => {
  response.writeHead(status, headers)
  response.end(body)
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
