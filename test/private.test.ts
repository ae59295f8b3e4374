import assert from 'node:assert/strict'
import { cp, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { openPrivateRemote, type PrivateRemote } from './support/private-remote.ts'
import { openRepository, type Repository } from './support/repository.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let remote: PrivateRemote
let repository: Repository
let url: string
let first: string
before(async () => {
  workspace = await openWorkspace()
  remote = await openPrivateRemote(workspace.folder, workspace.folder)
  const input = await openRepository(workspace.folder)
  await input.commit((folder) =>
    writeFile(join(folder, 'flake.nix'), '{ outputs = { self }: { text = "of a private input"; }; }'),
  )
  // Without a branch, Nix 2.8 looks for `master`.
  const inputUrl = `git+${remote.url(`${basename(input.folder)}/.git`)}?ref=trunk`
  repository = await openRepository(workspace.folder)
  url = remote.url(`${basename(repository.folder)}/.git`)
  const commit = async (word: string) => {
    const set = await workspace.packageSet(`hello = script "hello" "echo ${word}";`)
    return repository.commit(async (folder) => {
      await cp(join(set, 'default.nix'), join(folder, 'default.nix'))
      await writeFile(
        join(folder, 'flake.nix'),
        `{ inputs.private.url = "${inputUrl}";
           outputs = { self, private }: { packages.x86_64-linux = assert private.text != "" && self.rev != "";
             import ./. { system = "x86_64-linux"; }; }; }`,
      )
      await repository.git('add', '-A')
      const features = ['--extra-experimental-features', 'nix-command flakes']
      await execa('nix', [...features, 'flake', 'lock', folder], { env: { HOME: remote.home } })
    })
  }
  first = await commit('first')
  await repository.git('tag', 'v1')
  await commit('second')
})
after(async () => {
  await workspace.dispose()
  remote.close()
})

/** Starts a server with the operator's home folder, which contains the only credentials. */
const serve = (environment: Readonly<Record<string, string>>) =>
  workspace.serve({ HOME: remote.home, NIXERY_REFS: 'refs/heads/* refs/tags/*', ...environment })

async function assertServed(server: ServerProcess): Promise<void> {
  const digests: (string | null)[] = []
  for (const tag of ['latest', 'v1', first]) {
    const { response, text } = await requestV2(server, `hello/manifests/${tag}`)
    assert.equal(response.status, 200, `${tag}: ${text}`)
    digests.push(response.headers.get('Docker-Content-Digest'))
  }
  const [latest, one, commit] = digests
  assert.equal(one, commit)
  assert.notEqual(latest, one)
  const { json } = await requestV2(server, 'hello/tags/list')
  const { tags } = json as { tags: string[] }
  for (const tag of ['latest', 'trunk', 'v1']) assert.ok(tags.includes(tag), tags.join())
}

describe('a private repository', () => {
  it('requires credentials', async () => {
    const env = { HOME: workspace.folder, GIT_TERMINAL_PROMPT: '0' }
    await assert.rejects(execa('git', ['ls-remote', url], { env }))
  })

  it('works as a flake with a private input, although evaluations have no credentials', async () => {
    await assertServed(await serve({ NIXERY_FLAKE: `git+${url}?ref=trunk` }))
  })

  it('works as a git repository', async () => {
    await assertServed(await serve({ NIXERY_PKGS_REPO: url }))
  })
})
