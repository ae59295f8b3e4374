import assert from 'node:assert/strict'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { auditEvents, type AuditEvent } from './support/audit.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

describe('quotas and the audit log', () => {
  let workspace: Workspace
  let server: ServerProcess
  let log: string
  let settings: Record<string, string>

  before(async () => {
    workspace = await openWorkspace()
    log = join(workspace.folder, 'audit.log')
    settings = {
      NIXERY_DATA: join(workspace.folder, 'data'),
      STORAGE_PATH: join(workspace.folder, 'store'),
      NIXERY_PKGS_PATH: await workspace.packageSet(
        ['a', 'b', 'c', 'd'].map((name) => `${name} = script "${name}" "echo ${name}";`).join('\n'),
      ),
      NIXERY_QUOTA_BUILDS: '2',
      NIXERY_QUOTA_REQUESTS: '50',
      NIXERY_QUOTA_BYTES: '1',
      NIXERY_AUDIT_LOG: log,
    }
    server = await workspace.serve(settings)
  })
  after(() => workspace.dispose())

  /** Sends a request as a client with this address behind a proxy. */
  const getFrom = (address: string, path: string, headers: Record<string, string> = {}) =>
    fetch(`http://${server.address}${path}`, { headers: { 'x-forwarded-for': address, ...headers } })
  /** Waits for a matching line of the log. */
  const untilLogged = async (matches: (line: AuditEvent) => boolean): Promise<AuditEvent> => {
    let line: AuditEvent | undefined
    await until(
      async () => (line = (await auditEvents(log)).find(matches)) !== undefined,
      'the log has a line',
    )
    return line ?? assert.fail()
  }

  it('count the builds of each address, and report them like Docker Hub', async () => {
    const first = await getFrom('192.0.2.1', '/v2/a/manifests/latest')
    assert.equal(first.status, 200)
    assert.equal(first.headers.get('ratelimit-limit'), '2;w=3600')
    assert.equal(first.headers.get('ratelimit-remaining'), '1;w=3600')
    assert.equal(first.headers.get('docker-ratelimit-source'), '192.0.2.1')
    assert.equal((await getFrom('192.0.2.1', '/v2/b/manifests/latest')).status, 200)

    const refused = await getFrom('192.0.2.1', '/v2/c/manifests/latest')
    const text = await refused.text()
    assert.equal(refused.status, 403, text)
    assert.match(text, /"DENIED".*quota of 2 builds per hour is used up for 192\.0\.2\.1/)
    assert.equal(refused.headers.get('ratelimit-remaining'), '0;w=3600')
    assert.equal(refused.headers.get('retry-after'), null)
    // A pull of an existing image is not a build.
    assert.equal((await getFrom('192.0.2.1', '/v2/b/manifests/latest')).status, 200)
    assert.equal(
      (await getFrom('192.0.2.2', '/v2/b/manifests/latest')).headers.get('ratelimit-remaining'),
      '2;w=3600',
    )
  })

  it('still hold after a restart, and what exists is served from the catalog', async () => {
    await server.stop()
    server = await workspace.serve(settings)
    const existing = await Promise.all(
      ['a', 'b', 'a/b'].map(
        async (name) => (await getFrom('192.0.2.1', `/v2/${name}/manifests/latest`)).status,
      ),
    )
    assert.deepEqual(existing, [200, 200, 403])
    assert.equal((await getFrom('192.0.2.1', '/v2/c/manifests/latest')).status, 403)
    // A name that does not exist has to be evaluated, too.
    const misses = ['x1', 'x2', 'x3'].map((name) => `/v2/${name}/manifests/latest`)
    const statuses: number[] = []
    for (const path of misses) statuses.push((await getFrom('192.0.2.8', path)).status)
    assert.deepEqual(statuses, [404, 404, 403])
    // Another client has it built, and the first one may have it then.
    assert.equal((await getFrom('192.0.2.9', '/v2/c/manifests/latest')).status, 200)
    assert.equal((await getFrom('192.0.2.1', '/v2/c/manifests/latest')).status, 200)
  })

  it('limit bytes per day', async () => {
    const manifest = (await (await getFrom('192.0.2.3', '/v2/b/manifests/latest')).json()) as {
      layers: { digest: string }[]
    }
    const [first, second] = manifest.layers
    const blob = (digest: string | undefined) => getFrom('192.0.2.3', `/v2/b/blobs/${digest}`)
    const sent = await blob(first?.digest)
    assert.equal(sent.status, 200)
    await sent.arrayBuffer()
    // The server counts bytes after it has sent them, perhaps after the client has received them.
    await until(async () => {
      const refused = await blob((second ?? first)?.digest)
      const text = await refused.text()
      return refused.status === 403 && /quota of 1 bytes per day/.test(text)
    }, 'the quota is used up')
  })

  it('limit requests per second, with a Retry-After that clients honor', async () => {
    let refused: Response[] = []
    // A busy machine may not handle more than 50 of them in one second each time.
    await until(async () => {
      const responses = await Promise.all(Array.from({ length: 120 }, () => getFrom('192.0.2.4', '/v2/')))
      refused = responses.filter(({ status }) => status === 429)
      return refused.length > 0
    }, 'requests are refused')
    assert.equal(refused[0]?.headers.get('retry-after'), '1')
    assert.match((await refused[0]?.text()) ?? '', /TOOMANYREQUESTS.*50 per second/)
    assert.equal((await getFrom('192.0.2.4', '/healthz')).status, 200)
    assert.equal((await getFrom('192.0.2.5', '/v2/')).status, 200)
  })

  it('write a line for each build and refused request, without credentials, also after log rotation', async () => {
    const build = await untilLogged((line) => line.event === 'build' && line['image'] === 'b')
    assert.equal(build['address'], '192.0.2.1')
    assert.equal(build['how'], 'anonymous')
    const refused = await untilLogged((line) => line.event === 'refused' && line['code'] === 'QUOTA_EXCEEDED')
    assert.equal(refused['path'], '/v2/c/manifests/latest')
    assert.match(String(refused['reason']), /builds per hour/)
    assert.equal((await auditEvents(log)).filter((line) => line.event === 'build').length, 5)

    await rename(log, `${log}.1`)
    const secret = 'hunter2-hunter2'
    await getFrom('192.0.2.6', '/v2/d/manifests/latest?token=hunter2-hunter2', {
      authorization: `Bearer ${secret}`,
      cookie: secret,
    })
    await untilLogged((line) => line.event === 'build' && line['image'] === 'd')
    for (const file of [log, `${log}.1`]) assert.doesNotMatch(await readFile(file, 'utf8'), /hunter2/)
  })
})
