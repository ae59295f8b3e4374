import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Reply } from './reply.ts'

const invalid: readonly [number, string] = [400, 'this is not a valid HTTP/1.1 request']
const reasons: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'the URL and headers of the request are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the chunk extensions of the request are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request was not complete in time'],
}

/** Describes why the input is not a valid request, from the error of Node's parser. */
export function malformedError(error: Error): { failure: NixeryError; status: number } {
  const [status, message] = reasons[systemErrorCode(error) ?? ''] ?? invalid
  return { status, failure: new NixeryError('REQUEST_INVALID', message, { cause: error }) }
}

/** Writes a reply to a connection for which Node has no response object, and closes it. */
export function answerAndClose(socket: Duplex, { status, headers, body }: Reply): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...Object.entries({ ...headers, Date: new Date().toUTCString(), Connection: 'close' }).map(
      ([name, value]) => `${name}: ${value}`,
    ),
  ]
  // Destroyed after writing, because the client may never close its side.
  socket.end(`${head.join('\r\n')}\r\n\r\n${typeof body === 'string' ? body : ''}`, () => socket.destroy())
}
