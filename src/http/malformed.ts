import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { systemErrorCode } from '../errors.ts'

const statuses: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/**
 * Answers what is no HTTP, or did not become a request in time, and closes its connection.
 * @param busy whether an answer to an earlier request is under way: this one would be taken for its
 */
export function answerMalformed(error: Error, socket: Duplex, { busy }: { busy: boolean }): void {
  if (busy || !socket.writable) {
    socket.destroy()
    return
  }
  const status = statuses[systemErrorCode(error) ?? ''] ?? 400
  const reason = STATUS_CODES[status] ?? ''
  const body = JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message: reason }] })
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  // Destroyed when it is written: the other side may never close its own.
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
