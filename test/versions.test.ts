import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { runNixery } from './support/command.ts'
import { logOf } from './support/log.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let server: ServerProcess
let repository: string
let data: string
let first: string
let second: string
let dangling: string

/** A package set in which packages with equal versions are equal in all revisions. */
const setWith = (body: string) => `{ system, ... }: let
  package = name: derivation {
    inherit name system;
    unique = "${process.pid}-${performance.timeOrigin}";
    builder = "/bin/sh";
    args = [ "-c" "export PATH=/usr/bin:/bin\\nmkdir -p $out/bin; echo echo \${name} > $out/bin/\${name}" ];
  };
in { ${body} }
`
const git = (...args: string[]) =>
  execa('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args])
async function commit(body: string): Promise<string> {
  await writeFile(join(repository, 'default.nix'), setWith(body))
  await git('add', '-A')
  await git('commit', '--allow-empty', '-m', body)
  return (await git('rev-parse', 'HEAD')).stdout
}
const nested = 'nested = { recurseForDerivations = true; inner = package "inner-5"; bad = abort "no"; };'

before(async () => {
  workspace = await openWorkspace()
  repository = join(workspace.folder, 'repository')
  data = join(workspace.folder, 'data')
  await mkdir(repository)
  await git('init', '--initial-branch=trunk')
  first = await commit('tool = package "tool-1.0+git"; helper = package "helper-7";')
  second = await commit('tool = package "tool-1.10"; helper = package "helper-7";')
  await git('checkout', '-q', '--detach')
  dangling = await commit('tool = package "tool-1.11"; helper = package "helper-7";')
  await git('checkout', '-q', 'trunk')
  await commit('tool = throw "broken for a while"; fails = abort "at once"; helper = package "helper-7";')
  await commit(
    `tool = package "tool-2.0"; helper = package "helper-7"; "odd--1" = package "odd-3"; ${nested}`,
  )
  server = await workspace.serve(serverFor(data))
})
after(() => workspace.dispose())

const serverFor = (folder: string) => ({
  NIXERY_PKGS_REPO: `file://${repository}`,
  NIXERY_DATA: folder,
  STORAGE_PATH: join(folder, 'store'),
})

async function digestOf(name: string, tag = 'latest', from = server): Promise<string | null> {
  const headers = { Accept: 'application/vnd.oci.image.manifest.v1+json' }
  const { response, text } = await requestV2(from, `${name}/manifests/${tag}`, { headers })
  assert.equal(response.status, 200, text)
  return response.headers.get('Docker-Content-Digest')
}
async function index(folder: string, ...args: string[]) {
  const { exitCode, stdout, stderr } = await runNixery(folder, '', ['index', ...args], {
    env: serverFor(folder),
  })
  assert.equal(exitCode, 0, stderr)
  return { stdout, stderr }
}

describe('versions of packages', () => {
  it('come from the pinned revision if nothing else is known', async () => {
    assert.equal(await digestOf('tool--2'), await digestOf('tool'))
    assert.equal(await digestOf('tool--2.0'), await digestOf('tool'))
    const { status, message } = await failureOf(server, 'tool--1')
    assert.equal(status, 404)
    assert.match(message, /Could not find Nix packages: \[tool--1\]\. For tool--1, did you mean tool--2\.0\?/)
  })

  it('are not confused with attributes that contain two hyphens', async () => {
    await digestOf('odd--1')
    assert.equal(await digestOf('odd__dash__dash__1--3'), await digestOf('odd--1'))
  })

  it('are known for each evaluated commit', async () => {
    const pinned = await digestOf('tool', first)
    const end = performance.now() + 60_000
    while ((await requestV2(server, 'tool--1/manifests/latest')).response.status !== 200) {
      assert.ok(performance.now() < end, 'the version was not recorded')
      await sleep(50)
    }
    assert.equal(await digestOf('tool--1.0-git'), pinned)
  })

  it('are indexed from all commits of a history, and result in the images of those commits', async () => {
    const { stderr } = await index(data, '--from', first, '--every', '0')
    assert.match(stderr, /4 commits/)
    assert.match(stderr, /1 name does not evaluate/)
    // Nothing else has changed between the revisions, so the whole image is the same.
    assert.equal(await digestOf('tool--1'), await digestOf('tool', second), 'the newest matching version')
    assert.equal(await digestOf('tool--1.0'), await digestOf('tool', first))
    assert.equal(await digestOf('tool--1.0/helper'), await digestOf('tool/helper', first))
    assert.equal(await digestOf('tool--1.0/helper--7'), await digestOf('tool/helper', first))
    assert.notEqual(await digestOf('tool--1.0/helper'), await digestOf('tool/helper'))
    assert.ok(
      (await logOf(server)).some(({ packages }) =>
        (packages as string[] | undefined)?.includes(`tool 1.0+git of commit ${first.slice(0, 12)}`),
      ),
    )
    const { message } = await failureOf(server, 'tool--1.5')
    assert.match(message, /did you mean tool--1\.0-git, tool--1\.10 or tool--2\.0\?/)
    const repeated = await index(data, '--from', first.slice(0, 12), '--every', '0')
    const unknown = index(data, '--from', 'no-such-branch')
    await assert.rejects(unknown, /has no commit, branch or tag no-such-branch \(--from\)/)
    assert.match(repeated.stderr, /4 commits, 0 evaluated/)
  })

  it('can be exported to another server, which uses only commits that its refs reach', async () => {
    const file = join(workspace.folder, 'versions.jsonl')
    await index(data, '--export', file)
    const lines = await readFile(file, 'utf8')
    assert.match(lines, /\{"attribute":"nested\.inner"|\{"attribute":"tool","version":"1\.10"/)
    const forged = { attribute: 'tool', version: '1.11', commit: dangling, at: 2_000_000_000 }
    await writeFile(file, `${lines}${JSON.stringify(forged)}\n`)
    const other = join(workspace.folder, 'other')
    await index(other, '--import', file)
    const importing = await workspace.serve(serverFor(other))
    assert.equal(await digestOf('tool--1', 'latest', importing), await digestOf('tool', second))
    assert.equal((await failureOf(importing, 'tool--1.11')).status, 404)
  })

  it('are accepted by commands, which show the cost of two of them', async () => {
    const { stdout } = await runNixery(data, '', ['plan', 'tool--1.10/tool', '--json'], {
      env: serverFor(data),
    })
    const planned = JSON.parse(stdout) as {
      packages: { version: string; commit?: string }[]
      duplicates: { name: string; versions: string[]; extra: number }[]
    }
    assert.deepEqual(Object.fromEntries(planned.packages.map(({ version, commit: of }) => [version, of])), {
      '1.10': second,
      '2.0': undefined,
    })
    const [tool] = planned.duplicates
    assert.deepEqual([tool?.name, tool?.versions], ['tool', ['1.10', '2.0']])
    assert.ok((tool?.extra ?? 0) > 0)
    const refused = await runNixery(data, '', ['index', '--import', join(repository, 'default.nix')], {
      env: serverFor(data),
    })
    assert.match(refused.stderr, /default\.nix: line 1 is not in the format of --export/)
  })
})
