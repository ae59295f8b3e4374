import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import type { ServerProcess } from '../scripts/server.ts'
import { replaceFile } from '../src/fs/replace-file.ts'
import { auditEvents } from './support/audit.ts'
import { until } from './support/until.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

const as = (name: string) => ({ authorization: `Basic ${btoa(`${name}:right`)}` })

const policy = (ofAlice: string) => `
[[rule]]
who = ["everyone"]
may = ["pull", "build"]

[[quota]]
who = ["user:alice"]
${ofAlice}

[[quota]]
who = ["anonymous", "user:carol"]
requests = 1000
bytes = "1kB"
`

describe('quotas of a policy', () => {
  let workspace: Workspace
  let server: ServerProcess
  let file: string
  let audit: string

  before(async () => {
    workspace = await openWorkspace()
    const inFolder = (name: string) => join(workspace.folder, name)
    file = inFolder('policy.toml')
    audit = inFolder('audit.log')
    const users = ['alice', 'bob', 'carol'].map((name) => `${name}:${hashSync('right', 4)}\n`)
    await writeFile(inFolder('users'), users.join(''))
    await writeFile(file, policy('builds = 1'))
    server = await workspace.serve({
      NIXERY_PKGS_PATH: await workspace.packageSet(
        ['a', 'b', 'c', 'd'].map((name) => `${name} = script "${name}" "echo ${name}";`).join('\n'),
      ),
      NIXERY_AUTH: 'basic',
      NIXERY_HTPASSWD: inFolder('users'),
      NIXERY_POLICY: file,
      NIXERY_QUOTA_REQUESTS: '5',
      NIXERY_AUDIT_LOG: audit,
    })
  })
  after(() => workspace.dispose())

  const get = (path: string, headers: Record<string, string>, address = '192.0.2.1') =>
    fetch(`http://${server.address}${path}`, { headers: { 'x-forwarded-for': address, ...headers } })
  const pull = (name: string, headers: Record<string, string>, address?: string) =>
    get(`/v2/${name}/manifests/latest`, headers, address)

  it('are counted for each user, wherever the requests come from', async () => {
    const first = await pull('a', as('alice'))
    assert.equal(first.status, 200)
    assert.equal(first.headers.get('ratelimit-limit'), '1;w=3600')
    assert.equal(first.headers.get('ratelimit-remaining'), '0;w=3600')
    assert.equal(first.headers.get('docker-ratelimit-source'), 'alice')
    const refused = await pull('b', as('alice'), '192.0.2.2')
    assert.equal(refused.status, 403)
    assert.match(await refused.text(), /quota of 1 builds per hour is used up for alice/)
    // Quotas belong to users, so another user at the same address is not affected.
    const others = await pull('b', as('bob'))
    assert.equal(others.status, 200)
    assert.equal(others.headers.get('ratelimit-limit'), null)
  })

  it('of the file take precedence over those of the settings, also for anonymous clients', async () => {
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await pull('b', {}, '192.0.2.3')).status),
    )
    // NIXERY_QUOTA_REQUESTS alone would allow only 5.
    assert.deepEqual([...new Set(statuses)], [200])
    const { config, layers } = (await (await pull('b', as('carol'))).json()) as {
      config: { digest: string }
      layers: { digest: string }[]
    }
    const blob = async (digest = '') => {
      const response = await get(`/v2/b/blobs/${digest}`, as('carol'))
      return [response.status, await response.text()] as const
    }
    for (const { digest } of [...layers, config]) if ((await blob(digest))[0] !== 200) break
    await until(async () =>
      /quota of 1000 bytes per day is used up for carol/.test((await blob(config.digest))[1]),
    )
    assert.equal((await blob(config.digest))[0], 403)
  })

  it('change with the file, and its changes are in the audit log', async () => {
    await replaceFile(file, policy('builds = 3'))
    await until(async () => (await pull('c', as('alice'))).status === 200, 'the new quota applies')
    await replaceFile(file, policy('builds = "many"'))
    await removeAfter(/line 8, quota 1, builds: /)
    await until(() => JSON.stringify(server.log).includes('stay in use: ENOENT'))
    assert.equal((await pull('d', as('alice'))).status, 200)
    const changes = async () =>
      (await auditEvents(audit)).filter(
        (event) => event.event === 'policy' && event['setting'] === 'NIXERY_POLICY',
      )
    await until(async () => (await changes()).length >= 4, 'the audit log has the changes')
    const lines = await changes()
    assert.deepEqual(
      lines.map((line) => line['what']),
      ['opened', 'changed', 'refused', 'refused'],
    )
    assert.notEqual(lines[0]?.['sha256'], lines[1]?.['sha256'])
    assert.equal(lines[1]?.['sha256'], lines[3]?.['sha256'])
    assert.match(lines[2]?.reason ?? '', /^line 8, quota 1, builds: /)
    assert.equal(lines[3]?.reason, 'ENOENT')
  })

  /** Removes the file after the server has logged an error in it. */
  async function removeAfter(logged: RegExp): Promise<void> {
    await until(() => logged.test(JSON.stringify(server.log)), 'the server rejects the file')
    await rm(file)
  }
})
