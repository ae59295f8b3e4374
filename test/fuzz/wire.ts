import assert from 'node:assert/strict'
import { connect } from 'node:net'

/** An answer as it came over the wire. */
export type RawAnswer = {
  readonly status: number
  /** Names in lower case, as they came. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

/** What came back over one connection. */
export type Heard = { readonly bytes: Buffer; readonly closed: boolean }

// Ends what it stands behind, if that has no end, and asks for something: then the server closes the connection.
const last = '\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n'
// Milliseconds without a byte after which nothing more is waited for: what was sent has swallowed the last request.
const quiet = 300
const longest = 30_000

/** Sends bytes over a connection of their own, as they are, and gives all that comes back. */
export function converse(port: number, sent: Buffer): Promise<Heard> {
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
    socket.on('error', () => {}) // closed is told, too
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
 * Takes what came over a connection apart. Only the last answer may be cut off, as its connection was.
 * @throws AssertionError for what is no answer
 */
export function answersIn(bytes: Buffer): RawAnswer[] {
  const answers: RawAnswer[] = []
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
    answers.push({ status, headers, body: rest.subarray(from, from + length) })
    rest = rest.subarray(from + length)
  }
  return answers
}

/** The answer to a HEAD, which is not known here, has no body, and another answer or nothing behind it. */
function bodyLength(rest: Buffer, headers: Readonly<Record<string, string>>): number {
  if (rest.length === 0 || rest.subarray(0, 9).toString('latin1') === 'HTTP/1.1 ') return 0
  const length = headers['content-length']
  if (length !== undefined) return Number(length)
  assert.equal(headers['transfer-encoding'], 'chunked', 'a body without a length')
  if (rest.subarray(0, 5).toString('latin1') === '0\r\n\r\n') return 5
  const end = rest.indexOf('\r\n0\r\n\r\n')
  return end === -1 ? rest.length : end + 7
}
