import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { logOf } from './support/log.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let server: ServerProcess
let stable: string
let commit: string
before(async () => {
  workspace = await openWorkspace()
  stable = await workspace.packageSet(`
    hello = script "hello" "echo stable"; clash = script "clash" "echo clash";
    leak = script "leak" (builtins.readFile "/etc/passwd");`)
  const unstable = await workspace.packageSet(`
    hello = script "hello" "echo unstable"; leak = script "leak" (builtins.readFile "/etc/passwd");`)
  await git(unstable, 'init', '--initial-branch=trunk')
  await git(unstable, 'add', '-A')
  await git(unstable, 'commit', '-m', 'one')
  commit = (await git(unstable, 'rev-parse', 'HEAD')).stdout
  const broken = join(workspace.folder, 'broken')
  await mkdir(broken)
  await writeFile(join(broken, 'default.nix'), '{ system, ... }: throw "this set is broken"')
  const file = join(workspace.folder, 'sets.toml')
  await writeFile(
    file,
    `[set.stable]
source = "path:${stable}"
[set.unstable]
source = "git:file://${unstable}"
[set.arm]
source = "path:${stable}"
platforms = ["arm64"]
[set.closed]
source = "path:${stable}"
allow = ["hello"]
recipes = "recipes"
[set.clash]
source = "path:broken"
[set.broken]
source = "path:broken"
recipes = "nowhere"
[set.gone]
source = "git:file://${workspace.folder}/nowhere"
`,
  )
  await mkdir(join(workspace.folder, 'recipes'))
  await writeFile(
    join(workspace.folder, 'recipes', 'greeting.toml'),
    'packages = ["hello"]\ncmd = ["hello"]\n',
  )
  server = await workspace.serve({ NIXERY_SETS_FILE: file })
})
after(() => workspace.dispose())

const git = (repository: string, ...args: string[]) =>
  execa('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args])

async function digestOf(from: ServerProcess, name: string, tag = 'latest'): Promise<string | null> {
  const headers = { Accept: 'application/vnd.oci.image.manifest.v1+json' }
  const { response, text } = await requestV2(from, `${name}/manifests/${tag}`, { headers })
  assert.equal(response.status, 200, text)
  return response.headers.get('Docker-Content-Digest')
}

describe('several package sets on one server', () => {
  it('may have packages of the same name; names without a set use the default set', async () => {
    const hello = await digestOf(server, 'hello')
    assert.equal(await digestOf(server, 'stable/hello'), hello)
    assert.notEqual(await digestOf(server, 'unstable/hello'), hello)
    const alone = await workspace.serve({ NIXERY_PKGS_PATH: stable })
    assert.equal(await digestOf(alone, 'hello'), hello)
  })

  it('have their own tags', async () => {
    assert.equal(
      await digestOf(server, 'unstable/hello', commit),
      await digestOf(server, 'unstable/hello', 'trunk'),
    )
    assert.equal((await requestV2(server, `hello/manifests/${commit}`)).response.status, 404)
    const tagsOf = async (name: string) =>
      ((await requestV2(server, `${name}/tags/list`)).json as { tags: string[] }).tags
    assert.ok((await tagsOf('unstable/hello')).includes('trunk'))
    assert.ok(!(await tagsOf('hello')).includes('trunk'))
  })

  it('have their own policies and platforms', async () => {
    assert.equal(await digestOf(server, 'closed/hello'), await digestOf(server, 'hello'))
    const denied = await failureOf(server, 'closed/hello/clash')
    assert.match(denied.message, /^package set closed: clash: is not served/)
    await digestOf(server, 'hello/clash')
    assert.notEqual(await digestOf(server, 'closed/recipe/greeting'), await digestOf(server, 'closed/hello'))
    assert.equal((await requestV2(server, 'recipe/greeting/manifests/latest')).response.status, 404)
    assert.match((await failureOf(server, 'arm/hello')).message, /aarch64-linux/)
    assert.equal(await digestOf(server, 'amd64/arm/hello'), await digestOf(server, 'hello'))
  })

  it("are restricted separately, so that repositories cannot read the server's files", async () => {
    const refused = await failureOf(server, 'unstable/leak')
    assert.match(refused.message, /^package set unstable: leak: does not evaluate:.*restricted/s)
    const { message } = await failureOf(server, 'closed/leak')
    assert.match(message, /^package set closed: leak: is not served/)
    await digestOf(server, 'leak')
  })

  it('are hidden by a package of the default set, which the log reports', async () => {
    await digestOf(server, 'clash/hello')
    assert.equal(await digestOf(server, 'clash/hello'), await digestOf(server, 'hello/clash'))
    assert.ok((await logOf(server)).some(({ msg }) => /has a package `clash`/.test(msg)))
  })

  it('do not affect each other when they are broken', async () => {
    const broken = await failureOf(server, 'broken/hello')
    assert.deepEqual([broken.status, broken.code], [422, 'MANIFEST_UNKNOWN'])
    assert.match(broken.message, /^package set broken: .*this set is broken/s)
    const gone = await failureOf(server, 'gone/hello')
    assert.equal(gone.status, 503)
    assert.match(gone.message, /^package set gone: /)
    await digestOf(server, 'hello')

    const ready = await fetch(`http://${server.address}/readyz`)
    assert.equal(ready.status, 200)
    const { checks } = (await ready.json()) as { checks: Record<string, string> }
    assert.deepEqual(
      [checks['packages stable'], checks['packages unstable'], checks['packages gone']],
      ['ok', 'ok', 'SOURCE_UNREACHABLE'],
    )
  })

  it('are named in messages, the log, metrics and on the page', async () => {
    const missing = await failureOf(server, 'unstable/nothing')
    assert.match(missing.message, /^Could not find Nix packages: \[nothing\]\..* package set unstable\.$/)
    const mixed = await failureOf(server, 'unstable/hello/stable/clash')
    assert.match(
      mixed.message,
      /`stable` names a package set: all packages of an image come from one package set/,
    )
    assert.match(
      (await failureOf(server, 'unstable/stable/hello')).message,
      /this name has unstable and stable/,
    )

    await digestOf(server, 'unstable/hello')
    assert.ok((await logOf(server)).some(({ msg, set }) => msg === 'packages resolved' && set === 'unstable'))
    const text = async (path: string) => (await fetch(`http://${server.address}${path}`)).text()
    assert.match(await text('/metrics'), /^nixery_set_builds_total\{set="unstable"\} [1-9]/m)
    assert.match(await text('/'), /<code>unstable<\/code>.*git repository/s)
  })

  it('are accepted by commands', async () => {
    const data = join(workspace.folder, 'command')
    const { stdout } = await execa(
      join(import.meta.dirname, '..', 'bin', 'nixery'),
      ['build', 'other/hello'],
      {
        env: {
          NIXERY_SETS: `first=path:${stable}/nowhere,other=path:${stable}`,
          NIXERY_DATA: data,
          STORAGE_PATH: join(data, 'store'),
        },
      },
    )
    assert.equal(stdout, await digestOf(server, 'hello'))
  })
})
