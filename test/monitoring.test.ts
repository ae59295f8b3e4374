import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { launcher } from './support/command.ts'
import { freePort } from './support/ports.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const deploy = join(import.meta.dirname, '..', 'deploy')
const { exitCode } = await execa('sh', ['-c', 'command -v promtool && command -v prometheus'], {
  reject: false,
})
const skip = exitCode === 0 ? false : 'Prometheus is not installed'

type Dashboard = { panels: { title: string; targets: { expr: string }[] }[] }

describe('monitoring with Prometheus', { skip }, () => {
  let workspace: Workspace
  before(async () => {
    workspace = await openWorkspace()
  })
  after(() => workspace.dispose())

  it('has alerts that promtool accepts', async () => {
    const cwd = join(deploy, 'prometheus')
    await execa('promtool', ['check', 'rules', 'nixery.rules.yml'], { cwd })
    await execa('promtool', ['test', 'rules', 'nixery.rules.test.yml'], { cwd })
  })

  it('has data for every query of the dashboard', async () => {
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    const environment = {
      NIXERY_PKGS_PATH: set,
      NIXERY_DATA: join(workspace.folder, 'data'),
      STORAGE_PATH: join(workspace.folder, 'store'),
    }
    const server = await workspace.serve({ ...environment, NIXERY_KEEP: '30', NIXERY_GC_INTERVAL: '1' })
    assert.equal((await requestV2(server, 'hello/manifests/latest')).response.status, 200)
    await requestV2(server, 'nothing/manifests/latest')
    // Its result is in the server's folders, and so in the metrics below.
    await execa(launcher, ['scrub'], { env: environment })
    const port = await freePort()
    const folder = join(workspace.folder, 'prometheus')
    await mkdir(folder)
    const config = join(folder, 'prometheus.yml')
    await writeFile(
      config,
      JSON.stringify({
        global: { scrape_interval: '1s' },
        scrape_configs: [{ job_name: 'nixery', static_configs: [{ targets: [server.address] }] }],
      }),
    )
    const prometheus = execa(
      'prometheus',
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { reject: false },
    )
    try {
      const dashboard = JSON.parse(
        await readFile(join(deploy, 'grafana', 'nixery.json'), 'utf8'),
      ) as Dashboard
      const unanswered = new Set(dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)))
      assert.ok(unanswered.size >= 15)
      const deadline = performance.now() + 120_000
      while (unanswered.size > 0 && performance.now() < deadline) {
        for (const expr of unanswered) if (await hasData(port, expr)) unanswered.delete(expr)
        if (unanswered.size > 0) await sleep(500)
      }
      assert.deepEqual([...unanswered], [])
    } finally {
      prometheus.kill()
      await prometheus
    }
  })
})

async function hasData(port: number, expr: string): Promise<boolean> {
  const query = expr.replaceAll('$job', 'nixery').replaceAll('$__rate_interval', '1m')
  const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`
  const response = await fetch(url).catch(() => undefined) // Prometheus is still starting
  if (!response) return false
  const body = (await response.json().catch(() => ({}))) as {
    status?: string
    error?: string
    data?: { result: unknown[] }
  }
  assert.notEqual(body.status, 'error', `${query}: ${body.error}`)
  return (body.data?.result.length ?? 0) > 0
}
