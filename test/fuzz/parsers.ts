import assert from 'node:assert/strict'
import fc from 'fast-check'
import { NixeryError, type ErrorCode } from '../../src/errors.ts'
import { isKnown, mayGivePart } from '../../src/http/conditional.ts'
import { nextLink, parsePage } from '../../src/http/paging.ts'
import { maxRanges, parseRanges } from '../../src/http/range.ts'
import { referrersReply } from '../../src/http/referrers.ts'
import type { Reply } from '../../src/http/reply.ts'
import type { HttpRequest } from '../../src/http/request.ts'
import { testRequest } from '../../src/http/web-fetch-testing.ts'
import { parseRoute } from '../../src/http/route.ts'
import { createWaiting } from '../../src/http/waiting.ts'
import { chooseAnswer } from '../../src/http/accept.ts'
import { parseDigest } from '../../src/image/digest.ts'
import { formatImageName, maxPackages, parseImageName, parseImageReference } from '../../src/image/name.ts'
import { plainTexts } from '../../src/text/public.ts'
import { registryHost } from '../../src/web/host.ts'
import * as any from './arbitraries.ts'

/** A parser, its inputs, and the property that must hold. */
export type Target = {
  readonly name: string
  /** Checks `numRuns` inputs; throws with the smallest failing input. */
  check(parameters: { readonly seed: number; readonly numRuns: number }): Promise<void>
}

const target = <T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  holds: (input: T) => void | Promise<void>,
): Target => ({
  name,
  async check(parameters) {
    const property = fc.asyncProperty(inputs, async (input) => holds(input))
    await fc.assert(property, parameters)
  },
})

const routeErrors = [
  'NAME_INVALID',
  'TAG_INVALID',
  'DIGEST_INVALID',
  'MANIFEST_UNKNOWN', // an ill-formed tag, which no image can have
  'UNSUPPORTED',
  'ROUTE_UNKNOWN',
] as const

/** The parser's result, or undefined after one of the expected errors, which must not echo the input. */
function allowing<T>(codes: readonly ErrorCode[], parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof NixeryError)) throw error
    assert.ok(codes.includes(error.code), error.code)
    const text = `${error.message} ${error.hint ?? ''} ${JSON.stringify(error.detail) ?? ''}`
    assert.match(text, /^[ -~]{1,400}$/)
    assert.ok(!text.includes(any.mark), text)
    return undefined
  }
}

const requestWith = (headers: Readonly<Record<string, string>>, query = ''): HttpRequest =>
  testRequest('/v2/', { headers, query })

/** No header contains a line break or another unsendable character. */
function assertSendable({ headers, body }: Reply): void {
  for (const value of Object.values(headers)) assert.match(value, /^[\x20-\x7e]*$/)
  assert.equal(typeof body, 'string')
  JSON.parse(body as string)
}

const digestPattern = /^sha256:[0-9a-f]{64}$/
const safeName = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/
const etag = `"sha256:${'a'.repeat(64)}"`

function assertRequest(request: ReturnType<typeof parseImageName> | undefined): void {
  if (!request) return
  const { packages, tag } = request
  assert.ok(packages.length <= maxPackages)
  assert.deepEqual([...new Set(packages)].sort(), packages)
  for (const name of packages) assert.match(name, /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/)
  const name = formatImageName(request)
  assert.match(name, safeName)
  // A formatted name without packages includes the platform, even the default one.
  assert.deepEqual(
    { ...parseImageName(name, tag), platformNamed: false },
    { ...request, platformNamed: false },
  )
}

export const targets: readonly Target[] = [
  target(
    'name',
    fc.tuple(fc.oneof(any.imageName, any.hostile), fc.oneof(any.tag, any.hostile)),
    ([name, tag]) => {
      const request = allowing(['NAME_INVALID', 'TAG_INVALID'], () => parseImageName(name, tag))
      assertRequest(request)
      if (request) assert.match(name, safeName)
      if (request) assert.equal(request.tag, tag)
    },
  ),
  target(
    'reference',
    any.almost(fc.tuple(any.imageName, any.tag).map(([name, tag]) => `${name}:${tag}`)),
    (text) => assertRequest(allowing(['NAME_INVALID', 'TAG_INVALID'], () => parseImageReference(text))),
  ),
  target('digest', fc.oneof(any.digest, any.hostile), (text) => {
    const parsed = allowing(['DIGEST_INVALID'], () => parseDigest(text))
    assert.equal(parsed !== undefined, digestPattern.test(text))
  }),
  target(
    'route',
    fc.tuple(
      fc.constantFrom('GET', 'GET', 'GET', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'get'),
      fc.oneof(
        any.path,
        any.hostile.map((text) => `/v2/${text}`),
      ),
    ),
    ([method, path]) => {
      const route = allowing(routeErrors, () => parseRoute(method, path))
      if (!route) return
      assert.ok(method === 'GET' || method === 'HEAD')
      if ('digest' in route && route.digest !== undefined) assert.match(route.digest, digestPattern)
      if ('name' in route) assert.match(route.name, safeName)
      if ('imageRequest' in route) assertRequest(route.imageRequest)
    },
  ),
  target('range', fc.tuple(fc.oneof(any.range, any.hostile), fc.nat(2_000_000)), ([header, size]) => {
    const ranges = allowing(['RANGE_INVALID'], () => parseRanges(header, size))
    if (!ranges) return
    assert.ok(ranges.length >= 1 && ranges.length <= maxRanges)
    let end = 0
    for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
      assert.ok(Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end))
      assert.ok(end <= range.start && range.start < range.end && range.end <= size)
      end = range.end
    }
  }),
  target('accept', fc.tuple(fc.oneof(any.accept, any.hostile), fc.boolean()), ([header, several]) => {
    const { kind, form } = chooseAnswer(header, several)
    assert.ok(['manifest', 'index'].includes(kind) && ['oci', 'docker'].includes(form))
  }),
  target('query n, last', fc.tuple(fc.oneof(any.query, any.hostile), any.hostile), ([text, last]) => {
    const page = allowing(['QUERY_INVALID'], () => parsePage(text))
    if (!page) return
    assert.ok(Number.isSafeInteger(page.limit) && page.limit >= 0 && page.limit <= 10_000)
    assert.ok((page.after ?? 'x').length <= 255 && page.after !== '')
    const { Link } = nextLink('/v2/x/tags/list', { items: [last.toWellFormed()], more: true }, page)
    assert.match(Link ?? '', /^<\/v2\/x\/tags\/list\?n=\d+&last=[!-;=?-~]*>; rel="next"$/)
  }),
  target('query artifactType', fc.oneof(any.query, any.hostile), async (text) => {
    const none = () => Promise.resolve([])
    assertSendable(await referrersReply(none, requestWith({}, text), undefined))
  }),
  target(
    'if-none-match',
    fc.tuple(fc.oneof(any.entityTags, any.hostile), fc.boolean()),
    ([list, isThere]) => {
      const header = isThere ? `${etag}, ${list}` : list
      const known = isKnown(requestWith({ 'if-none-match': header }), etag)
      assert.equal(known, isThere || list.trim() === '*' || known)
      assert.equal(
        isKnown(requestWith({ 'if-none-match': list.replaceAll('*', '').replaceAll('a', 'b') }), etag),
        false,
      )
    },
  ),
  target('if-match, if-range', fc.oneof(any.entityTags, any.hostile), (list) => {
    const codes = ['PRECONDITION_FAILED'] as const
    assert.notEqual(
      allowing(codes, () => isKnown(requestWith({ 'if-match': list }), etag)),
      true,
    )
    assert.equal(mayGivePart(requestWith({ 'if-range': list }), etag), list.trim() === etag)
  }),
  target('host', fc.oneof(any.host, any.hostile), (text) => {
    assert.match(registryHost(text), /^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/)
  }),
  target('waiting client', fc.tuple(any.hostile, any.accept, any.hostile), ([userAgent, accept, proto]) => {
    const page = (build: string, header: string | undefined) =>
      `http://${registryHost(header)}/builds/${build}`
    const waiting = createWaiting({ texts: plainTexts, maxWait: undefined, secure: false, page })
    const request = requestWith({
      'user-agent': userAgent,
      accept,
      host: userAgent,
      'x-forwarded-proto': proto,
    })
    assert.ok((waiting.limit(request) ?? 0) > 0)
    const detail = { build: '123e4567-e89b-12d3-a456-426614174000' }
    const reply = waiting.reply(new NixeryError('STILL_BUILDING', 'still', { detail }), request)
    assert.ok([429, 503].includes(reply.status))
    assertSendable(reply)
  }),
]
