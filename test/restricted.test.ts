import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { logOf } from './support/log.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

const secret = 'a-very-secret-value'

let workspace: Workspace
let repository: string
before(async () => {
  workspace = await openWorkspace()
  const home = join(workspace.folder, 'home')
  await mkdir(home)
  await writeFile(join(home, secret), secret)
  const reveal = (value: string) => `throw "\${builtins.unsafeDiscardStringContext (${value})}"`
  const set = await workspace.packageSet(`
    hello = script "hello" "echo hi";
    env = ${reveal('builtins.getEnv "S3_SECRET_KEY" + builtins.getEnv "SOME_TOKEN"')};
    file = ${reveal(`builtins.readFile ${home}/${secret}`)};
    home = ${reveal(`toString (builtins.attrNames (builtins.readDir ${home}))`)};
    environ = ${reveal('builtins.readFile "/proc/self/environ"')};
    fetched = ${reveal(`builtins.readFile (builtins.fetchurl "file://${home}/${secret}")`)};
  `)
  repository = join(workspace.folder, 'repository')
  await mkdir(repository)
  const git = (...args: string[]) =>
    execa('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args])
  await git('init', '-q')
  await execa('cp', [join(set, 'default.nix'), repository])
  await git('add', '-A')
  await git('commit', '-qm', 'set')
})
after(() => workspace.dispose())

describe('a package set in git', () => {
  // `restriction-conformance.ts` tests many more ways, with both evaluators.
  it('reveals nothing about the server', async () => {
    const server = await workspace.serve({
      NIXERY_PKGS_REPO: `file://${repository}`,
      S3_ACCESS_KEY: 'key',
      S3_SECRET_KEY: secret,
      SOME_TOKEN: secret,
    })
    const results = await Promise.all(
      ['env', 'file', 'home', 'environ', 'fetched'].map(async (name) =>
        requestV2(server, `${name}/manifests/latest`),
      ),
    )
    for (const { response, text } of results) {
      assert.equal(response.status, 422, text)
      assert.ok(!text.replaceAll(`/home/${secret}`, '').includes(secret), text)
    }
    const log = JSON.stringify(await logOf(server)).replaceAll(`/home/${secret}`, '')
    assert.ok(!log.includes(secret), log)
    const { response } = await requestV2(server, 'hello/manifests/latest')
    assert.equal(response.status, 200)
  })

  it('can read everything if the operator allows it', async () => {
    const server = await workspace.serve({ NIXERY_PKGS_REPO: `file://${repository}`, NIXERY_EVAL: 'open' })
    const { text } = await requestV2(server, 'home/manifests/latest')
    assert.match(text, new RegExp(`error: ${secret}`))
  })
})
