import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'
import { createRedactor } from '../text/redact.ts'
import { openCollector } from './collector-testing.ts'
import { openTracing } from './tracing.ts'

const common = {
  headers: undefined,
  service: 'nixery',
  version: '1.2.3',
  redactor: createRedactor(['hunter22']),
}

describe('traces', () => {
  it('have a span for each stage of a build, inside of that of the build', async () => {
    const collector = await openCollector()
    const lines: string[] = []
    const tracing = await openTracing({
      ...common,
      endpoint: `${collector.url}/`,
      headers: 'authorization=Bearer%20abc, x-scope = one',
      warn: (line) => lines.push(line),
    })
    assert.ok(tracing)
    const { onBuild } = tracing
    onBuild('one', { type: 'started', image: 'shell/git:latest' })
    onBuild('one', { type: 'joined', request: 'r' })
    onBuild('one', { type: 'resolved', packages: ['git'], names: 2, evaluated: 1, ms: 40 })
    onBuild('one', { type: 'nix', line: 'building' })
    onBuild('one', { type: 'realised', paths: 3, narBytes: 10, ms: 1500 })
    const path = `/nix/store/${'a'.repeat(32)}-git` as StorePath
    onBuild('one', { type: 'downloaded', cache: 'https://c.example', path, bytes: 5, ms: 7 })
    onBuild('one', { type: 'planned', layers: 2, known: 1 })
    const digest = digestOf('x')
    onBuild('one', { type: 'packed', digest, size: 5, paths: 1, copied: 0, ms: 20 })
    onBuild('one', { type: 'finished', digest, ms: 1600 })
    onBuild('two', { type: 'started', image: 'bad' })
    onBuild('two', { type: 'warning', message: 'the key is hunter22' })
    onBuild('two', { type: 'failed', error: new NixeryError('BUILD_FAILED', 'hunter22 failed'), ms: 3 })
    onBuild('gone', { type: 'finished', digest, ms: 1 })
    await tracing.close()
    await collector.close()

    const spans = collector.spans()
    const root = spans.find(({ attributes }) => attributes['nixery.build'] === 'one')
    assert.ok(root)
    assert.deepEqual(
      [root.name, root.parent, root.attributes['nixery.image'], root.attributes['nixery.layers']],
      ['build', undefined, 'shell/git:latest', 2],
    )
    const inside = spans.filter(({ parent }) => parent === root.id)
    assert.deepEqual(
      inside.map(({ name, ms, trace }) => [name, Math.round(ms), trace === root.trace]),
      [
        ['resolve', 40, true],
        ['realise', 1500, true],
        ['download', 7, true],
        ['pack', 20, true],
      ],
    )
    const failed = spans.find(({ attributes }) => attributes['nixery.build'] === 'two')
    assert.deepEqual([failed?.attributes['error.type'], failed?.isError], ['BUILD_FAILED', true])
    assert.notEqual(failed?.trace, root.trace)
    const [sent] = collector.requests
    assert.ok(sent)
    assert.equal(sent.path, '/v1/traces')
    assert.equal(sent.headers['authorization'], 'Bearer abc')
    assert.equal(sent.headers['x-scope'], 'one')
    assert.match(sent.body, /"service\.name","value":\{"stringValue":"nixery"\}/)
    assert.ok(!collector.requests.some(({ body }) => body.includes('hunter22')))
    assert.deepEqual(lines, [])
  })

  it('do not hold up anything while the collector refuses them, and say so once', async () => {
    const collector = await openCollector(400)
    const lines: string[] = []
    const tracing = await openTracing({
      ...common,
      endpoint: collector.url,
      warn: (line) => lines.push(line),
    })
    tracing?.onBuild('one', { type: 'started', image: 'git' })
    tracing?.onBuild('one', { type: 'failed', error: new Error('a bug'), ms: 1 })
    await tracing?.close()
    await collector.close()
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', /^traces cannot be sent: /)
  })

  it('cost nothing where there are none, and need headers in their form', async () => {
    const nothing = { ...common, endpoint: undefined, warn: () => {} }
    assert.equal(await openTracing(nothing), undefined)
    const wrong = { ...nothing, endpoint: 'http://127.0.0.1:1', headers: 'secret' }
    await assert.rejects(openTracing(wrong), ({ message }: Error) => {
      assert.match(message, /OTEL_EXPORTER_OTLP_HEADERS/)
      return !message.includes('secret')
    })
  })
})
