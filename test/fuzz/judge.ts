import assert from 'node:assert/strict'
import { digestOf } from '../../src/image/digest.ts'
import { mark } from './arbitraries.ts'
import type { RawAnswer } from './wire.ts'

/** All headers that a server may send: whatever else there is, somebody has put in. */
const known = new Set(
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

// What names may not have, but strangers send. The registry's own words have none of it.
const unfit = /[\0-\x08\x0b-\x1f\x7f-\x9f<>\u2028-\u202e\ufeff\ufffd\ud800-\udfff]/

/**
 * Says what is wrong with an answer, whatever it answers.
 * @param secret what lies in files that nobody may get
 * @throws AssertionError
 */
export function judge({ status, headers, body }: RawAnswer, secret: string): void {
  assert.ok(status < 500, `status ${status}: ${body.toString('latin1', 0, 500)}`)
  for (const [name] of headers) assert.ok(known.has(name), `a header ${name}`)
  const named = new Map(headers)
  assert.equal(named.size, headers.length, 'a header that appears twice')
  assert.ok(!body.includes(secret), 'a file that lies beside the store')
  assert.ok(!body.includes(`<b>${mark}`), 'an echo')
  assert.ok(!body.includes('<script>alert'), 'an echo')

  // What is given under a digest has it.
  const digest = named.get('docker-content-digest')
  if (status === 200 && digest !== undefined && body.length > 0) assert.equal(digestOf(body), digest)

  const type = named.get('content-type') ?? ''
  const isApi = named.get('docker-distribution-api-version') === 'registry/2.0'
  if (status >= 400 && body.length > 0 && (isApi || type === 'application/json')) judgeError(body)
  // What the registry answers tells of a failure, but to a HEAD.
  if (status >= 400 && isApi) assert.equal(type, 'application/json')
  // Whatever is refused is told in the same form, and can be found in the log.
  assert.notEqual(status >= 400 ? type : 'any', '', 'a failure without a type')
  assert.match(named.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
  assert.ok(
    (named.has('date') && named.has('content-length') !== named.has('transfer-encoding')) || status === 304,
  )
  if (status === 405) assert.equal(named.get('allow'), 'GET, HEAD')
  if (status === 416) assert.match(named.get('content-range') ?? '', /^bytes \*\/\d+$/)
}

function judgeError(body: Buffer): void {
  const text = body.toString()
  const { errors, ...others } = JSON.parse(text) as { errors: Record<string, unknown>[] }
  assert.deepEqual(others, {})
  assert.ok(errors.length > 0)
  for (const { code, message, detail, ...more } of errors) {
    assert.deepEqual(more, {})
    assert.match(String(code), codes)
    assert.equal(typeof message, 'string')
    assert.ok(!unfit.test(String(message)), `an echo: ${JSON.stringify(message)}`)
    assert.ok(!unfit.test(JSON.stringify(detail) ?? ''), `an echo: ${JSON.stringify(detail)}`)
  }
}
