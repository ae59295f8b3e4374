import assert from 'node:assert/strict'
import { connect } from 'node:net'

/** A response, parsed from bytes. */
export type RawResponse = {
  readonly status: number
  /** With lower-case names, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

/** The bytes received on one connection, and whether the server closed it. */
export type Received = { readonly bytes: Buffer; readonly closed: boolean }

// A last request, which completes a preceding incomplete one and makes the server close the connection.
const last = '\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n'
// In ms without a byte, after which the preceding request must have consumed the last one as its body.
const quiet = 300
const longest = 30_000

/** Sends bytes on a new connection, and returns everything that the server sends. */
export function exchange(port: number, sent: Buffer): Promise<Received> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1')
    const limit = setTimeout(() => socket.destroy(), longest)
    let isQuiet = false
    socket.setTimeout(quiet, () => {
      isQuiet = true
      socket.destroy()
    })
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => {}) // `close` follows
    socket.on('close', () => {
      clearTimeout(limit)
      resolve({ bytes: Buffer.concat(chunks), closed: !isQuiet })
    })
    socket.write(sent)
    socket.write(last)
  })
}

const statusLine = /^HTTP\/1\.1 (?<status>[1-5]\d\d) [A-Za-z' -]*$/
const headerLine = /^(?<name>[A-Za-z0-9-]+): (?<value>[\x20-\x7e]*)$/

/**
 * Parses the responses of a connection. Ignores an incomplete last response, which a closed connection can cut off.
 * @throws AssertionError for anything else
 */
export function parseResponses(bytes: Buffer): RawResponse[] {
  const responses: RawResponse[] = []
  let rest = bytes
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n')
    if (end === -1) break // cut off
    const [first = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n')
    const status = Number(statusLine.exec(first)?.groups?.['status'])
    assert.ok(status >= 100, `no status line: ${JSON.stringify(first)}`)
    const headers = lines.map((line) => {
      const { name, value } = headerLine.exec(line)?.groups ?? {}
      assert.ok(name !== undefined && value !== undefined, `no header: ${JSON.stringify(line)}`)
      return [name.toLowerCase(), value] as const
    })
    const from = end + 4
    const length = bodyLength(rest.subarray(from), Object.fromEntries(headers))
    responses.push({ status, headers, body: rest.subarray(from, from + length) })
    rest = rest.subarray(from + length)
  }
  return responses
}

/** The length of a body. A response to HEAD has none: the end or another response follows. */
function bodyLength(rest: Buffer, headers: Readonly<Record<string, string>>): number {
  if (rest.length === 0 || rest.subarray(0, 9).toString('latin1') === 'HTTP/1.1 ') return 0
  const length = headers['content-length']
  if (length !== undefined) return Number(length)
  assert.equal(headers['transfer-encoding'], 'chunked', 'a body without a length')
  if (rest.subarray(0, 5).toString('latin1') === '0\r\n\r\n') return 5
  const end = rest.indexOf('\r\n0\r\n\r\n')
  return end === -1 ? rest.length : end + 7
}
