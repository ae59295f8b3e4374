import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import { NixeryError } from '../errors.ts'
import type { AccessLogEntry } from '../http/access-log.ts'
import { digestOf } from '../image/digest.ts'
import { parseStorePath } from '../image/store-path.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import type { ScrubResult } from './server-stats.ts'

let metrics: Metrics
beforeEach(() => {
  metrics = createMetrics('1.2.3')
})

/** This program's samples in the Prometheus text. */
async function samples(): Promise<Record<string, number>> {
  const { text } = await metrics.read()
  const lines = text.split('\n').filter((line) => line.startsWith('nixery_'))
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.lastIndexOf(' ')
      return [line.slice(0, at), Number(line.slice(at + 1))]
    }),
  )
}
const answered = (more: Partial<AccessLogEntry>): AccessLogEntry => ({
  id: 'a',
  kind: 'blob',
  method: 'GET',
  path: '/v2/',
  status: 200,
  bytes: 0,
  ms: 1,
  userAgent: undefined,
  ...more,
})
const digest = digestOf(Buffer.from('a'))

describe('createMetrics', () => {
  it('writes the Prometheus text format, including process metrics', async () => {
    const { contentType, text } = await metrics.read()
    assert.match(contentType, /^text\/plain; version=0\.0\.4/)
    assert.match(text, /^# TYPE process_resident_memory_bytes gauge$/m)
    assert.match(text, /^nixery_info\{version="1\.2\.3"\} 1$/m)
    for (const line of text.split('\n')) assert.match(line, /^(#.*|[a-z0-9_]+(\{.*\})? \S+|)$/)
  })

  it('counts responses by kind, method and status class, and their bytes', async () => {
    for (const status of [200, 206, 404]) metrics.onRequest(answered({ status, bytes: 100 }))
    metrics.onRequest(answered({ kind: 'ping', method: 'HEAD' }))
    const found = await samples()
    assert.equal(found['nixery_requests_total{kind="blob",method="GET",status="2xx"}'], 2)
    assert.equal(found['nixery_requests_total{kind="blob",method="GET",status="4xx"}'], 1)
    assert.equal(found['nixery_requests_total{kind="ping",method="HEAD",status="2xx"}'], 1)
    assert.equal(found['nixery_sent_bytes_total{kind="blob"}'], 300)
    assert.equal(found['nixery_sent_bytes_total{kind="ping"}'], 0)
  })

  it('has no label values chosen by clients', async () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (method, path, userAgent) => {
        metrics.onRequest(answered({ method, path, userAgent }))
      }),
    )
    const kinds = Object.keys(await samples()).filter((name) => name.startsWith('nixery_requests_total'))
    assert.deepEqual(kinds, ['nixery_requests_total{kind="blob",method="other",status="2xx"}'])
  })

  it('counts builds, their stages, and cache hits', async () => {
    const { onBuild } = metrics
    onBuild('x', { type: 'started', image: 'hello' })
    onBuild('y', { type: 'started', image: 'nope' })
    assert.equal((await samples())['nixery_builds_running'], 2)
    onBuild('x', { type: 'resolved', packages: ['a', 'b', 'c'], names: 3, evaluated: 1, ms: 300 })
    onBuild('y', { type: 'resolved', packages: ['a'], names: 1, evaluated: 0, ms: 1 })
    onBuild('x', { type: 'planned', layers: 10, known: 7 })
    onBuild('x', { type: 'packed', digest, size: 1, paths: 5, copied: 3, ms: 20 })
    onBuild('x', { type: 'finished', digest, ms: 2000 })
    onBuild('y', { type: 'failed', error: new NixeryError('BUILD_FAILED', 'no'), ms: 1000 })
    onBuild('z', { type: 'started', image: 'z' })
    onBuild('u', { type: 'started', image: 'u' })
    onBuild('z', { type: 'failed', error: new NixeryError('CANCELLED', 'left'), ms: 1 })
    onBuild('u', { type: 'failed', error: new Error('a bug'), ms: 1 })
    const found = await samples()
    const expected = {
      nixery_builds_running: 0,
      'nixery_builds_total{result="finished",code=""}': 1,
      'nixery_builds_total{result="failed",code="BUILD_FAILED"}': 1,
      'nixery_builds_total{result="cancelled",code="CANCELLED"}': 1,
      'nixery_builds_total{result="failed",code="UNKNOWN"}': 1,
      'nixery_hits_total{kind="resolution"}': 3,
      'nixery_misses_total{kind="resolution"}': 1,
      'nixery_hits_total{kind="layer"}': 7,
      'nixery_misses_total{kind="layer"}': 3,
      'nixery_hits_total{kind="member"}': 3,
      'nixery_misses_total{kind="member"}': 2,
      'nixery_build_stage_seconds_count{stage="evaluate"}': 1,
      'nixery_build_stage_seconds_count{stage="pack"}': 1,
      'nixery_build_stage_seconds_count{stage="whole"}': 4,
      'nixery_build_stage_seconds_bucket{le="2.5",stage="whole"}': 4,
      'nixery_build_stage_seconds_bucket{le="1",stage="whole"}': 3,
    }
    for (const [name, value] of Object.entries(expected)) assert.equal(found[name], value, name)
  })

  it('counts paths, bytes, seconds and failures of each binary cache', async () => {
    const [one, other] = ['https://one.example', 'https://other.example']
    const path = parseStorePath(`/nix/store/${'0'.repeat(32)}-a`)
    for (const bytes of [100, 11])
      metrics.onBuild('x', { type: 'downloaded', cache: one, path, bytes, ms: 500 })
    metrics.onBuild('x', { type: 'downloading', bytes: 111 })
    metrics.onBuild('x', { type: 'warning', message: 'it fails', cache: other })
    metrics.onBuild('x', { type: 'warning', message: 'of no cache' })
    const found = await samples()
    assert.equal(found[`nixery_cache_hits_total{cache="${one}"}`], 2)
    assert.equal(found[`nixery_cache_received_bytes_total{cache="${one}"}`], 111)
    assert.equal(found[`nixery_cache_seconds_total{cache="${one}"}`], 1)
    assert.equal(found[`nixery_cache_failures_total{cache="${one}"}`] ?? 0, 0)
    assert.equal(found[`nixery_cache_failures_total{cache="${other}"}`], 1)
  })

  it('collects the numbers of other components each time it is read', async () => {
    let malformed = 10
    let scrubbed: ScrubResult | undefined
    metrics.watch({
      traffic: () => ({ connections: 4, requests: 2, malformed, slow: 0 }),
      builds: { queued: 11, queuedBy: () => ({ background: 3, expected: 1, waiting: 7 }) },
      streams: { active: 5, refused: 6 },
      evaluators: () => ({
        processes: [
          { memory: 100, idle: 0 },
          { memory: 20, idle: 3000 },
          { memory: 3, idle: 1 },
        ],
        warm: 7,
        cold: 8,
        started: 9,
        restarted: 1,
      }),
      revisions: () => [
        { set: undefined, seconds: 60 },
        { set: 'tools', seconds: 7 },
      ],
      scrub: () => Promise.resolve(scrubbed),
    })
    assert.equal((await samples())['nixery_scrub_damaged_blobs'], undefined, 'not known is not 0')
    scrubbed = { at: 1000, checked: 30, size: 5000, damaged: 2 }
    malformed = 20
    const found = await samples()
    assert.equal(found['nixery_malformed_total'], 20)
    assert.equal(found['nixery_connections'], 4)
    assert.equal(found['nixery_requests_running'], 2)
    assert.equal(found['nixery_builds_queued'], 11)
    assert.equal(found['nixery_builds_queued_by_urgency{urgency="waiting"}'], 7)
    assert.equal(found['nixery_streams'], 5)
    assert.equal(found['nixery_streams_refused_total'], 6)
    assert.equal(found['nixery_evaluators{state="busy"}'], 1)
    assert.equal(found['nixery_evaluators{state="idle"}'], 2)
    assert.equal(found['nixery_evaluators_memory_bytes'], 123)
    assert.equal(found['nixery_evaluations_total{how="warm"}'], 7)
    assert.equal(found['nixery_evaluations_total{how="cold"}'], 8)
    assert.equal(found['nixery_evaluators_started_total'], 9)
    assert.equal(found['nixery_evaluators_restarted_total'], 1)
    assert.equal(found['nixery_package_revision_age_seconds{set=""}'], 60)
    assert.equal(found['nixery_package_revision_age_seconds{set="tools"}'], 7)
    assert.equal(found['nixery_scrub_timestamp_seconds'], 1000)
    assert.equal(found['nixery_scrub_checked_blobs'], 30)
    assert.equal(found['nixery_scrub_checked_bytes'], 5000)
    assert.equal(found['nixery_scrub_damaged_blobs'], 2)
  })
})
