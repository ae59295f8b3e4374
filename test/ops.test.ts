import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerProcess } from '../scripts/server.ts'
import { digestOf } from '../src/image/digest.ts'
import { openCollector } from '../src/telemetry/collector-testing.ts'
import { makeReadOnly, makeWritable } from './support/disk.ts'
import { logOf } from './support/log.ts'
import { until } from './support/until.ts'
import { requestV2, openWorkspace, type Failure, type Workspace } from './support/workspace.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const get = (server: ServerProcess, path: string, init: RequestInit = {}) =>
  fetch(`http://${server.address}${path}`, init)
const seconds = `9${process.pid}` // identifies this test's builder
const program = `
  hello = script "hello" "echo hi";
  traced = script "traced" "echo hi";
  big = run "big" "mkdir -p $out/bin; head -c 30000000 /dev/urandom > $out/bin/big";
  endless = run "endless" "sleep ${seconds}";
`

describe('the operators of the server', () => {
  let server: ServerProcess
  let disk: string
  let collector: Awaited<ReturnType<typeof openCollector>>
  before(async () => {
    disk = await workspace.mountSmallDisk(16)
    const set = await workspace.packageSet(program)
    collector = await openCollector()
    server = await workspace.serve({
      NIXERY_PKGS_PATH: set,
      STORAGE_PATH: join(disk, 'store'),
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    })
  })
  after(() => collector.close())

  it('can check whether it is alive and ready', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      assert.equal((await get(server, path)).status, 200)
      const head = await get(server, path, { method: 'HEAD' })
      assert.equal(head.status, 200)
      assert.equal(await head.text(), '')
      const post = await get(server, path, { method: 'POST', body: 'x' })
      assert.deepEqual([post.status, post.headers.get('Allow')], [405, 'GET, HEAD'])
    }
  })

  it('see in its log its URL and how to pull', () => {
    const ready = server.log.find(({ msg }) => msg === 'ready')
    assert.equal(ready?.['url'], `http://${server.address}/`)
    assert.equal(ready['blobs'], join(disk, 'store'))
    assert.equal(typeof ready['data'], 'string')
    assert.equal(ready['pull'], `docker pull ${server.address}/shell/hello`)
  })

  it('see its activity in metrics', async () => {
    assert.equal((await requestV2(server, 'hello/manifests/latest')).response.status, 200)
    assert.equal((await requestV2(server, 'nothing/manifests/latest')).response.status, 404)
    const response = await get(server, '/metrics')
    assert.equal(response.headers.get('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8')
    const text = await response.text()
    for (const line of [
      'nixery_requests_total{kind="image",method="GET",status="2xx"} 1',
      'nixery_requests_total{kind="image",method="GET",status="4xx"} 1',
      'nixery_builds_total{result="finished",code=""} 1',
      'nixery_builds_total{result="failed",code="PACKAGE_UNKNOWN"} 1',
      'nixery_build_stage_seconds_count{stage="realise"} 1',
      'nixery_builds_running 0',
      'nixery_requests_running 1',
    ]) {
      assert.ok(text.split('\n').includes(line), `${line} is not in\n${text}`)
    }
    for (const metric of ['disk_free_bytes{place="data"}', 'disk_free_bytes{place="nix"}', 'catalog_bytes']) {
      const value = Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`nixery_${metric} `))
          ?.split(' ')[1],
      )
      assert.ok(value > 0, `${metric} in\n${text}`)
    }
    assert.doesNotMatch(text, /hello|nothing/)
  })

  it('get a trace of each request, including the build that it starts', async () => {
    const trace = '0af7651916cd43dd8448eb211c80319c'
    const headers = { traceparent: `00-${trace}-b7ad6b7169203331-01` }
    assert.equal((await requestV2(server, 'traced/manifests/latest', { headers })).response.status, 200)
    const isComplete = () => {
      const spans = collector.spans()
      const incoming = spans.find(({ kind, trace: of }) => kind === 2 && of === trace)
      const build = spans.find(({ name, parent }) => name === 'build' && parent === incoming?.id)
      const isInside = (stage: string) =>
        spans.some(({ name, parent }) => name === stage && parent === build?.id)
      return incoming !== undefined && build !== undefined && ['resolve', 'realise', 'pack'].every(isInside)
    }
    await until(isComplete, 'the collector has the trace')
  })

  it('see whether its store is writable', async () => {
    const readyz = async () => {
      const response = await get(server, '/readyz')
      return { status: response.status, ...((await response.json()) as { checks: object }) }
    }
    const untilStatus = async (status: number) => {
      for (;;) {
        const current = await readyz()
        if (current.status === status) return current.checks
        await sleep(300)
      }
    }
    await makeReadOnly(disk)
    assert.deepEqual(await untilStatus(503), {
      store: 'STORE_UNAVAILABLE',
      catalog: 'ok',
      nix: 'ok',
      packages: 'ok',
    })
    await makeWritable(disk)
    assert.deepEqual(await untilStatus(200), { store: 'ok', catalog: 'ok', nix: 'ok', packages: 'ok' })
    const reports = (await logOf(server)).filter(({ msg }) =>
      /^the check of store (failed|succeeds again)/.test(msg),
    )
    assert.equal(reports.length, 2)
  })
})

describe('a server that is stopped', () => {
  /** Sends a request; returns the response with its body unread. */
  const start = (server: ServerProcess, path: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      request({ port: server.port, host: '127.0.0.1', path, agent: false }, resolve).on('error', reject).end()
    })
  const largestBlob = async (server: ServerProcess, name: string) => {
    const { json } = await requestV2(server, `${name}/manifests/latest`)
    const { layers } = json as { layers: { digest: string; size: number }[] }
    const [layer] = layers.toSorted((a, b) => b.size - a.size)
    assert.ok(layer)
    return layer
  }
  const builders = async () => {
    const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
    const commands = await Promise.all(
      names.map((name) => readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')),
    )
    return commands.filter((command) => command.includes(`sleep\0${seconds}`)).length
  }

  it('finishes responses, refuses new requests, and leaves no builder behind', async () => {
    const set = await workspace.packageSet(program)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIX_TIMEOUT: '600', NIXERY_GRACE: '300' })
    const layer = await largestBlob(server, 'big')
    const waiting = start(server, '/v2/endless/manifests/latest')
    while ((await builders()) === 0) await sleep(100)
    const blob = await start(server, `/v2/big/blobs/${layer.digest}`)

    const ended = server.stop()
    const interrupted = await waiting
    assert.equal(interrupted.statusCode, 503)
    assert.equal(interrupted.headers.connection, 'close')
    assert.match(interrupted.headers['retry-after'] ?? '', /^\d+$/)
    const { errors } = JSON.parse((await buffer(interrupted)).toString()) as Failure
    assert.match(errors[0]?.message ?? '', /stopping/)

    assert.equal((await get(server, '/readyz')).status, 503)
    assert.equal((await get(server, '/healthz')).status, 200)
    const refused = await requestV2(server, 'hello/manifests/latest')
    assert.equal(refused.response.status, 503)
    assert.equal(refused.response.headers.get('Connection'), 'close')
    while ((await builders()) > 0) await sleep(100)

    assert.equal(digestOf(await buffer(blob)), layer.digest)
    assert.equal(await ended, 0)
    await assert.rejects(get(server, '/healthz'))
  })

  it('does not wait for a stalled reader', async () => {
    const set = await workspace.packageSet(program)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_GRACE: '1' })
    const layer = await largestBlob(server, 'big')
    const blob = await start(server, `/v2/big/blobs/${layer.digest}`)
    assert.equal(await server.stop(), 0)
    await assert.rejects(buffer(blob))
  })
})
