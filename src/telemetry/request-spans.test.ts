import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as api from '@opentelemetry/api'
import { NixeryError } from '../errors.ts'
import type { AccessLogEntry } from '../http/access-log.ts'
import { digestOf } from '../image/digest.ts'
import { createRedactor } from '../text/redact.ts'
import { openCollector } from './collector-testing.ts'
import { httpRoute } from './http-route.ts'
import { createRequestSpans } from './request-spans.ts'
import { openTracing } from './tracing.ts'

const [theirTrace, theirSpan] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
const traceparent = `00-${theirTrace}-${theirSpan}-01`

const requestOf = (id: string, path: string, headers: Record<string, string> = {}, method = 'GET') => ({
  id,
  method,
  path,
  header: (name: string) => headers[name],
})
const entryOf = (id: string, path: string, some: Partial<AccessLogEntry> = {}): AccessLogEntry => ({
  id,
  kind: 'image',
  method: 'GET',
  path,
  status: 200,
  ms: 1,
  bytes: 7,
  userAgent: undefined,
  ...some,
})

async function withTracing(use: (tracing: NonNullable<Awaited<ReturnType<typeof openTracing>>>) => void) {
  const collector = await openCollector()
  const tracing = await openTracing({
    endpoint: collector.url,
    headers: undefined,
    service: 'nixery',
    version: '1.2.3',
    redactor: createRedactor(['hunter22']),
    warn: assert.fail,
  })
  assert.ok(tracing)
  use(tracing)
  await tracing.close()
  await collector.close()
  assert.ok(!collector.requests.some(({ body }) => body.includes('hunter22')))
  return collector.spans()
}

describe('spans of requests', () => {
  it('are linked to spans of other processes that they wait for', async () => {
    const spans = await withTracing(({ requests }) => {
      requests.begin(requestOf('a', '/v2/'), 'http')
      requests.link('a', 'damaged')
      requests.link('a', traceparent)
      requests.end(entryOf('a', '/v2/'))
    })
    assert.deepEqual(
      spans.map(({ links }) => links),
      [[theirSpan]],
    )
  })

  it('have a name of few, the attributes of the conventions, and the parent that the client names', async () => {
    const path = '/v2/git/manifests/hunter22'
    const spans = await withTracing(({ requests }) => {
      requests.begin(requestOf('a', path, { traceparent, 'user-agent': 'podman/5' }), 'https')
      requests.end(entryOf('a', path))
      requests.begin(requestOf('b', '/nothing', {}, 'BREW'), 'http')
      requests.end(entryOf('b', '/nothing', { kind: 'page', method: 'BREW', status: 404 }))
      requests.begin(requestOf('c', path), 'http')
      const error = new NixeryError('BUILD_FAILED', 'it failed')
      requests.end(entryOf('c', path, { status: 422, error }))
      requests.begin(requestOf('d', path), 'http')
      requests.end(entryOf('d', path, { status: 404, error: new NixeryError('PACKAGE_UNKNOWN', 'x') }))
      requests.begin(requestOf('e', path), 'http')
      requests.end(entryOf('e', path, { status: 500, error: new Error('a bug') }))
      requests.end(entryOf('never begun', path))
      requests.link('never begun', traceparent)
    })
    assert.equal(spans.length, 5)
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((id) =>
      spans.find(({ attributes }) => attributes['nixery.request'] === id),
    )
    assert.deepEqual(
      [a?.name, a?.trace, a?.parent],
      ['GET /v2/{name}/manifests/{reference}', theirTrace, theirSpan],
    )
    assert.equal(a?.kind, 2, 'a server')
    const { 'url.path': shown, ...attributes } = a?.attributes ?? {}
    assert.match(String(shown), /^\/v2\/git\/manifests\//)
    assert.deepEqual(attributes, {
      'http.request.method': 'GET',
      'http.response.body.size': 7,
      'http.response.status_code': 200,
      'http.route': '/v2/{name}/manifests/{reference}',
      'nixery.request': 'a',
      'url.scheme': 'https',
      'user_agent.original': 'podman/5',
    })
    assert.deepEqual(
      [b?.name, b?.attributes['http.request.method'], b?.attributes['http.route'], b?.parent, b?.isError],
      ['HTTP', '_OTHER', undefined, undefined, false],
    )
    assert.deepEqual([c?.isError, c?.attributes['error.type']], [true, 'BUILD_FAILED'])
    assert.deepEqual([d?.isError, d?.attributes['error.type']], [false, undefined])
    assert.deepEqual([e?.isError, e?.attributes['error.type']], [true, '500'])
  })

  it('have the build inside that they cause, and are linked to the one that they join', async () => {
    const path = '/v2/git/manifests/latest'
    const spans = await withTracing(({ requests, onBuild }) => {
      for (const id of ['first', 'second']) requests.begin(requestOf(id, path), 'http')
      onBuild('one', { type: 'started', image: 'git' })
      onBuild('one', { type: 'joined', request: 'first' })
      onBuild('one', { type: 'joined', request: 'second' })
      // A client that disconnects does not take the build with it.
      requests.end(entryOf('first', path))
      onBuild('one', { type: 'realised', paths: 3, narBytes: 10, ms: 15 })
      onBuild('one', { type: 'finished', digest: digestOf('x'), ms: 16 })
      requests.end(entryOf('second', path))
      onBuild('two', { type: 'started', image: 'warm' })
      onBuild('two', { type: 'joined', request: 'of the warmer' })
      onBuild('two', { type: 'finished', digest: digestOf('x'), ms: 16 })
    })
    const named = (name: string, value: string) =>
      spans.find(({ attributes }) => attributes[name] === value) ?? assert.fail(value)
    const [first, second] = [named('nixery.request', 'first'), named('nixery.request', 'second')]
    const build = named('nixery.build', 'one')
    assert.deepEqual([build.parent, build.trace], [first.id, first.trace])
    const stage = spans.find(({ name }) => name === 'realise')
    assert.deepEqual([stage?.parent, stage?.trace], [build.id, first.trace])
    assert.notEqual(second.trace, first.trace)
    assert.deepEqual(second.links, [build.id])
    assert.deepEqual(first.links, [])
    assert.equal(named('nixery.build', 'two').parent, undefined)
  })

  it('take no parent from an invalid header', async () => {
    const invalid = [
      `ff-${theirTrace}-${theirSpan}-01`,
      `00-${'0'.repeat(32)}-${theirSpan}-01`,
      `00-${theirTrace}-${'0'.repeat(16)}-01`,
      `00-${theirTrace.toUpperCase()}-${theirSpan}-01`,
      `${traceparent}-more`,
      `${traceparent}, ${traceparent}`,
      'x',
      '',
    ]
    const spans = await withTracing(({ requests }) => {
      for (const [place, text] of invalid.entries()) {
        requests.begin(requestOf(String(place), '/', { traceparent: text }), 'http')
        requests.end(entryOf(String(place), '/', { kind: 'page' }))
      }
      // Of a later version, with more fields; and of a trace that the client does not record.
      requests.begin(requestOf('later', '/', { traceparent: `01-${theirTrace}-${theirSpan}-01-x` }), 'http')
      requests.end(entryOf('later', '/', { kind: 'page' }))
      requests.begin(
        requestOf('not recorded', '/', { traceparent: traceparent.replace(/01$/, '00') }),
        'http',
      )
      requests.end(entryOf('not recorded', '/', { kind: 'page' }))
    })
    const parents = spans.map(({ attributes, parent }) => [attributes['nixery.request'], parent])
    assert.deepEqual(parents, [
      ...invalid.map((_, place) => [String(place), undefined]),
      ['later', theirSpan],
    ])
  })

  it("use the span that the operator's SDK has already begun, and leave its end to it", async () => {
    const calls: unknown[] = []
    const span = api.trace.wrapSpanContext({ traceId: theirTrace, spanId: theirSpan, traceFlags: 1 })
    span.setAttribute = (...attribute) => (calls.push(attribute), span)
    span.end = () => calls.push('end')
    const active = api.trace.setSpan(api.ROOT_CONTEXT, span)
    const withActive = { ...api, context: { active: () => active } }
    const tracer = { startSpan: assert.fail, startActiveSpan: assert.fail }
    const requests = createRequestSpans(withActive, tracer, createRedactor([]))
    requests.begin(requestOf('a', '/healthz', { traceparent }), 'http')
    assert.equal(requests.contextOf('a'), active)
    requests.end(entryOf('a', '/healthz', { kind: 'ops' }))
    assert.deepEqual(calls, [['http.route', '/healthz']])
    assert.equal(requests.contextOf('a'), undefined)
  })

  it('name routes without what clients choose', () => {
    const rows = [
      ['blob', `/v2/shell/git/blobs/${digestOf('x')}`, '/v2/{name}/blobs/{digest}'],
      ['ping', '/v2/', '/v2/'],
      ['ops', '/readyz', '/readyz'],
      ['page', '/', '/'],
      ['page', '/images/shell/git', '/images/{name}'],
      ['page', '/builds/f96f8c80-5ebe-4df4-9faf-d341df773428/events', '/builds/{id}/events'],
      ['page', '/docs/ci', '/docs/{page}'],
      ['page', '/.env', undefined],
      ['unreadable', '/v2/a//manifests/x', undefined],
    ] as const
    for (const [kind, path, route] of rows) assert.equal(httpRoute(kind, path), route, path)
  })

  it('have builds of other processes in them, which get their traceparent', async () => {
    const digest = digestOf('x')
    let passedOn: string | undefined
    const [request] = await withTracing(({ requests }) => {
      requests.begin(requestOf('a', '/v2/git/manifests/latest', { traceparent }), 'https')
      passedOn = requests.traceparentOf('a')
      requests.end(entryOf('a', '/v2/git/manifests/latest'))
      assert.equal(requests.traceparentOf('a'), undefined)
    })
    const builds = await withTracing(({ onBuild }) => {
      for (const [build, cause] of [
        ['one', passedOn],
        ['two', undefined],
        ['three', `${passedOn}-more`],
      ] as const) {
        onBuild(build, { type: 'started', image: 'git' })
        onBuild(build, { type: 'joined', request: build, traceparent: cause })
        onBuild(build, { type: 'joined', request: build, traceparent })
        onBuild(build, { type: 'finished', digest, ms: 1 })
      }
    })
    assert.deepEqual(
      builds.map(({ trace, parent }) => [trace === theirTrace, parent]),
      [
        [true, request?.id],
        [false, undefined],
        [false, undefined],
      ],
    )
  })
})
