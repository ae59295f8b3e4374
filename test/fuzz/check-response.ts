import assert from 'node:assert/strict'
import { digestOf } from '../../src/image/digest.ts'
import { mark } from './arbitraries.ts'
import type { RawResponse } from './wire.ts'

/** All headers that the server may send; any other one was injected. */
const allowed = new Set(
  [
    'accept-ranges allow cache-control connection content-length content-range content-type date',
    'docker-content-digest docker-distribution-api-version etag keep-alive link oci-filters-applied retry-after',
    'transfer-encoding vary x-request-id content-security-policy cross-origin-opener-policy',
    'cross-origin-resource-policy permissions-policy referrer-policy x-content-type-options x-frame-options',
  ].flatMap((names) => names.split(' ')),
)

// distribution spec, "Error Codes", and TOOMANYREQUESTS.
const codes =
  /^(?:BLOB_UNKNOWN|BLOB_UPLOAD_INVALID|BLOB_UPLOAD_UNKNOWN|DIGEST_INVALID|MANIFEST_BLOB_UNKNOWN|MANIFEST_INVALID|MANIFEST_UNKNOWN|NAME_INVALID|NAME_UNKNOWN|SIZE_INVALID|UNAUTHORIZED|DENIED|UNSUPPORTED|TOOMANYREQUESTS)$/

// Characters that only a request can contain: a message that has one echoes it.
const unfit = /[\0-\x08\x0b-\x1f\x7f-\x9f<>\u2028-\u202e\ufeff\ufffd\ud800-\udfff]/

/**
 * Checks any response.
 * @param secret the contents of files that the server must never send
 * @throws AssertionError
 */
export function checkResponse({ status, headers, body }: RawResponse, secret: string): void {
  assert.ok(status < 500, `status ${status}: ${body.toString('latin1', 0, 500)}`)
  for (const [name] of headers) assert.ok(allowed.has(name), `an unexpected header ${name}`)
  const named = new Map(headers)
  assert.equal(named.size, headers.length, 'a duplicate header')
  assert.ok(!body.includes(secret), 'a file outside the store')
  assert.ok(!body.includes(`<b>${mark}`), 'an echoed request')
  assert.ok(!body.includes('<script>alert'), 'an echoed request')

  const digest = named.get('docker-content-digest')
  if (status === 200 && digest !== undefined && body.length > 0) assert.equal(digestOf(body), digest)

  const type = named.get('content-type') ?? ''
  const isApi = named.get('docker-distribution-api-version') === 'registry/2.0'
  if (status >= 400 && body.length > 0 && (isApi || type === 'application/json')) checkError(body)
  if (status >= 400 && isApi) assert.equal(type, 'application/json')
  assert.notEqual(status >= 400 ? type : 'any', '', 'an error without a content type')
  // Each response can be found in the log.
  assert.match(named.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
  assert.ok(
    (named.has('date') && named.has('content-length') !== named.has('transfer-encoding')) || status === 304,
  )
  if (status === 405) assert.equal(named.get('allow'), 'GET, HEAD')
  if (status === 416) assert.match(named.get('content-range') ?? '', /^bytes \*\/\d+$/)
}

function checkError(body: Buffer): void {
  const text = body.toString()
  const { errors, ...others } = JSON.parse(text) as { errors: Record<string, unknown>[] }
  assert.deepEqual(others, {})
  assert.ok(errors.length > 0)
  for (const { code, message, detail, ...more } of errors) {
    assert.deepEqual(more, {})
    assert.match(String(code), codes)
    assert.equal(typeof message, 'string')
    assert.ok(!unfit.test(String(message)), `an echoed request: ${JSON.stringify(message)}`)
    assert.ok(!unfit.test(JSON.stringify(detail) ?? ''), `an echoed request: ${JSON.stringify(detail)}`)
  }
}
