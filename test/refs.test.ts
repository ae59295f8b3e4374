import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { openRepository, type Repository } from './support/repository.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'
import { until } from './support/until.ts'

let workspace: Workspace
let forged: Awaited<ReturnType<typeof openForge>>
before(async () => {
  workspace = await openWorkspace()
  forged = await openForge()
})
after(() => workspace.dispose())

/** Commits a package set whose `hello` prints a word. */
async function commitSet(repository: Repository, word: string): Promise<string> {
  const set = await workspace.packageSet(`hello = script "hello" "echo ${word}";`)
  return repository.commit(async (folder) => {
    await cp(join(set, 'default.nix'), join(folder, 'default.nix'))
    await writeFile(
      join(folder, 'flake.nix'),
      '{ outputs = { self }: { packages.x86_64-linux = import ./. { system = "x86_64-linux"; }; }; }',
    )
  })
}

/**
 * A repository like one of a forge, which serves any commit by its hash, including those of pull requests, forks and
 * deleted branches.
 */
async function openForge() {
  const repository = await openRepository(workspace.folder)
  await repository.git('config', 'uploadpack.allowAnySHA1InWant', 'true')
  await repository.git('config', 'uploadpack.allowFilter', 'true')
  const first = await commitSet(repository, 'first')
  await repository.git('tag', '-a', 'v1', '-m', 'annotated')
  await repository.git('checkout', '--quiet', '-b', 'theirs')
  const pullRequest = await commitSet(repository, 'pull request')
  await repository.git('update-ref', 'refs/pull/1/head', pullRequest)
  const deleted = await commitSet(repository, 'deleted')
  await repository.git('checkout', '--quiet', 'trunk')
  await repository.git('branch', '--quiet', '-D', 'theirs')
  const fork = await openRepository(workspace.folder)
  await fork.git('pull', '--quiet', repository.url, 'trunk')
  const forked = await commitSet(fork, 'fork')
  await execa('cp', ['-r', `${fork.folder}/.git/objects`, `${repository.folder}/.git/`])
  const second = await commitSet(repository, 'second')
  await repository.git('checkout', '--quiet', '-b', 'moving')
  const moved = await commitSet(repository, 'moved')
  await repository.git('checkout', '--quiet', 'trunk')
  await repository.git('branch', 'deadbeef', first)
  await repository.git('branch', 'feature/x', first)
  const refused = { pullRequest, deleted, forked, nowhere: '0'.repeat(40), short: second.slice(0, 12) }
  return { repository, first, second, moved, refused }
}

/** The digest of a tag, or the whole error response except for the date and request id. */
async function pull(server: ServerProcess, tag: string): Promise<string> {
  const { response, text } = await requestV2(server, `hello/manifests/${tag}`)
  if (response.status === 200) return response.headers.get('Docker-Content-Digest') ?? ''
  const headers = [...response.headers].filter(([name]) => !/^(date|x-request-id)$/.test(name))
  return JSON.stringify([response.status, headers, text])
}

/** Asserts that the responses for these tags equal that for an unknown tag, byte for byte. */
async function assertRefused(server: ServerProcess, tags: readonly string[]): Promise<void> {
  const unknown = await pull(server, 'no-such-tag')
  assert.match(unknown, /^\[404,.*MANIFEST_UNKNOWN/)
  for (const tag of tags) assert.equal(await pull(server, tag), unknown, tag)
}

describe('a git repository', () => {
  it('serves commits that branches and tags in NIXERY_REFS reach, and no others', async () => {
    const { repository, first, second, moved, refused } = forged
    const data = join(workspace.folder, 'git')
    const shared = { NIXERY_PKGS_REPO: repository.url, NIXERY_DATA: data }
    const server = await workspace.serve({ ...shared, NIXERY_PIN_TTL: '1' })
    await assertRefused(server, Object.values(refused))
    const [one, two] = [await pull(server, first), await pull(server, second)]
    assert.match(one, /^sha256:/)
    assert.notEqual(one, two)
    for (const tag of ['v1', 'deadbeef']) assert.equal(await pull(server, tag), one, tag)
    for (const tag of ['latest', 'trunk']) assert.equal(await pull(server, tag), two, tag)
    const { json } = await requestV2(server, 'hello/tags/list')
    const { tags } = json as { tags: string[] }
    assert.deepEqual(
      tags.filter((tag) => !/^[0-9a-f]{40}$/.test(tag)),
      ['deadbeef', 'latest', 'moving', 'trunk', 'v1'],
    )

    assert.match(await pull(server, moved), /^sha256:/)
    await repository.git('branch', '--force', 'moving', first)
    await until(async () => (await pull(server, 'moving')) === one, 'the server sees the moved branch')
    await assertRefused(server, [moved])
    await server.stop()

    // The new refs also apply to commits that the data folder has. They exclude HEAD.
    const narrow = await workspace.serve({ ...shared, NIXERY_REFS: 'refs/tags/v*, refs/heads/f*/*' })
    const noHead = /cannot be used: .*no ref that NIXERY_REFS allows reaches its HEAD/s
    await until(
      async () => narrow.log.some(({ msg }) => noHead.test(msg)),
      'the log says why there is no `latest`',
    )
    const readiness = await fetch(`http://${narrow.address}/readyz`)
    assert.equal(readiness.status, 503)
    const { checks } = (await readiness.json()) as { checks: Record<string, string> }
    assert.equal(checks['packages'], 'MANIFEST_UNKNOWN')
    await assertRefused(narrow, [...Object.values(refused), second, 'latest', 'trunk', 'deadbeef'])
    assert.equal(await pull(narrow, first), one)
    assert.equal(await pull(narrow, 'v1'), one)
  })
})

describe('a flake', () => {
  it('serves commits that branches and tags of its repository reach, and no others', async () => {
    const { repository, first, second, refused } = forged
    const server = await workspace.serve({ NIXERY_FLAKE: `git+${repository.url}` })
    await assertRefused(server, Object.values(refused))
    const one = await pull(server, first)
    assert.match(one, /^sha256:/)
    for (const tag of ['v1', 'deadbeef']) assert.equal(await pull(server, tag), one, tag)
    const latest = await pull(server, 'latest')
    assert.notEqual(latest, one)
    assert.equal(await pull(server, second), latest)
  })
})

describe('a channel', () => {
  let forge: Server
  let address: string
  let folder: string
  let requested: string[] = []
  before(async () => {
    folder = join(workspace.folder, 'archive')
    await mkdir(folder)
    // Serves an archive of any commit, as forges do.
    forge = createServer((request, response) => {
      requested.push(request.url ?? '')
      const file = createReadStream(join(folder, (request.url ?? '').replaceAll('/', '')))
      file.once('error', () => response.writeHead(404).end())
      file.once('open', () => file.pipe(response))
    })
    await new Promise<void>((resolve) => {
      forge.listen(0, '127.0.0.1', resolve)
    })
    address = `http://127.0.0.1:${(forge.address() as AddressInfo).port}`
  })
  after(() => forge.close())

  it('serves commits only if enabled, and only those that its repository reaches', async () => {
    const { repository, first, second, refused } = forged
    const described = `v1-2-g${refused.pullRequest.slice(0, 7)}`
    const archives = {
      ...refused,
      first,
      second,
      described,
      trunk: 'trunk',
      deadbeef: 'deadbeef',
      upper: 'ABCDEF1',
    }
    for (const name of Object.values(archives)) {
      if (name === refused.nowhere) continue
      const what = /^(v1|ABC)/.test(name) ? refused.pullRequest : name
      const file = join(folder, `${name}.tar.gz`)
      await repository.git('archive', '--prefix=source/', '-o', file, what)
    }
    const channel = {
      NIXERY_CHANNEL: 'trunk',
      NIXERY_CHANNEL_URL: `${address}/{channel}.tar.gz`,
      NIXERY_CHANNEL_REPO: repository.url,
      NIXERY_CHANNEL_TAGS: '.*',
    }
    const off = await workspace.serve(channel)
    requested = []
    const short = [refused.short, refused.pullRequest.slice(0, 7), described, 'ABCDEF1']
    await assertRefused(off, [...Object.values(refused), first, second, ...short])
    assert.deepEqual(
      requested.filter((path) => !/^\/(trunk|no-such-tag)\.tar\.gz$/.test(path)),
      [],
    )
    const one = await pull(off, 'deadbeef') // a branch that looks like a commit
    assert.match(one, /^sha256:/)

    // The operator's own revision is always served.
    const own = { NIXERY_CHANNEL: refused.deleted, NIXERY_CHANNEL_COMMITS: 'on' }
    const on = await workspace.serve({ ...channel, ...own })
    const { deleted, ...others } = refused
    await assertRefused(on, [...Object.values(others), ...short])
    assert.equal(await pull(on, first), one)
    assert.equal(await pull(on, second), await pull(on, 'trunk'))
    assert.match(await pull(on, deleted), /^sha256:/)
    assert.equal(await pull(on, 'latest'), await pull(on, deleted))
  })
})
