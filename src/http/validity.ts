import type { IncomingMessage } from 'node:http'
import { NixeryError } from '../errors.ts'

// uri-host [ ":" port ] (RFC 9110 §7.2, RFC 3986 §3.2.2): a name, which may be empty, or an IP address in brackets.
const hostValue = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d*)?$/

// A valid value, most likely also of the next request.
let lastHost: string | undefined

/**
 * Checks what Node's parser accepts: the Host header (RFC 9112 §3.2), several Authorization headers, and the form
 * of the target.
 * @throws REQUEST_INVALID, UNSUPPORTED
 */
export function checkRequest(
  request: Pick<IncomingMessage, 'method' | 'url' | 'httpVersion' | 'rawHeaders'>,
): void {
  const { method, url = '', httpVersion, rawHeaders } = request
  let host: string | undefined
  let authorizations = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    // Node uses the first of several and ignores the others.
    if (name?.length === 13 && name.toLowerCase() === 'authorization' && (authorizations += 1) > 1) {
      throw severalAuthorizations
    }
    if (name?.length !== 4 || name.toLowerCase() !== 'host') continue
    if (host !== undefined) throw invalid('a request has exactly one Host header')
    host = rawHeaders[index + 1] ?? ''
  }
  if (host === undefined && httpVersion !== '1.0') throw invalid('a request has exactly one Host header')
  if (host !== undefined && host !== lastHost && !hostValue.test(host))
    throw invalid('the Host header is not host or host:port')
  lastHost = host
  if (url.startsWith('/') || /^https?:\/\//i.test(url)) return
  if (url === '*' && method === 'OPTIONS') throw new NixeryError('UNSUPPORTED', 'this server is read-only')
  throw invalid('the request target is neither a path nor an http address')
}

/** One shared object, by which the audit log recognizes it. */
export const severalAuthorizations = new NixeryError(
  'REQUEST_INVALID',
  'a request has at most one Authorization header',
)

const invalid = (message: string) => new NixeryError('REQUEST_INVALID', message)
