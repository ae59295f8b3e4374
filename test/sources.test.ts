import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import type { ServerProcess } from '../scripts/server.ts'
import { logOf } from './support/log.ts'
import { until } from './support/until.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const digestOf = async (server: ServerProcess, name: string, tag = 'latest') => {
  const { response, text } = await requestV2(server, `${name}/manifests/${tag}`)
  assert.equal(response.status, 200, text)
  return response.headers.get('Docker-Content-Digest')
}
const statusOf = async (server: ServerProcess, name: string, tag: string) =>
  (await requestV2(server, `${name}/manifests/${tag}`)).response.status
const greeting = (text: string) => `hello = script "hello" "echo ${text}";`
const evaluations = async (server: ServerProcess) =>
  (await logOf(server)).filter(({ msg, evaluated }) => msg === 'packages resolved' && evaluated !== 0).length

const git = (repository: string, ...args: string[]) =>
  execa('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args])

async function commitSet(repository: string, body: string): Promise<string> {
  const set = await workspace.packageSet(body)
  await execa('cp', [join(set, 'default.nix'), repository])
  await git(repository, 'add', '-A')
  await git(repository, 'commit', '-m', body)
  return (await git(repository, 'rev-parse', 'HEAD')).stdout
}

async function newRepository(): Promise<string> {
  const repository = join(workspace.folder, `repository-${performance.now()}`)
  await mkdir(repository)
  await git(repository, 'init', '--initial-branch=trunk')
  return repository
}

describe('a git repository', () => {
  it('serves its HEAD, branches, tags and commits, evaluates each commit once, and refuses others', async () => {
    const repository = await newRepository()
    const first = await commitSet(repository, greeting('one'))
    await git(repository, 'tag', '-a', 'v1', '-m', 'annotated')
    await git(repository, 'branch', 'old')
    const second = await commitSet(repository, greeting('two'))
    const server = await workspace.serve({ NIXERY_PKGS_REPO: `file://${repository}`, NIXERY_PIN_TTL: '1' })

    const one = await digestOf(server, 'hello', first)
    const two = await digestOf(server, 'hello', second)
    assert.notEqual(one, two)
    assert.equal(await digestOf(server, 'hello'), two)
    assert.equal(await digestOf(server, 'hello', 'trunk'), two)
    assert.equal(await digestOf(server, 'hello', 'old'), one)
    assert.equal(await digestOf(server, 'hello', 'v1'), one)
    assert.equal(await evaluations(server), 2)
    for (const tag of ['nothing', 'a..b', 'x.lock', '0'.repeat(39), '0'.repeat(40)]) {
      assert.equal(await statusOf(server, 'hello', tag), 404, tag)
    }
    assert.equal(await statusOf(server, 'hello', '--upload-pack=x'), 404)
    const { json } = await requestV2(server, 'hello/tags/list?last=latest')
    // Pulled commits may be listed, too, because they are tags here.
    const { tags } = json as { tags: string[] }
    assert.deepEqual(
      tags.filter((tag) => !/^[0-9a-f]{40}$/.test(tag)),
      ['old', 'trunk', 'v1'],
    )

    const third = await commitSet(repository, greeting('three'))
    await until(async () => (await statusOf(server, 'hello', third)) === 200, 'the new commit is known')
    const three = await digestOf(server, 'hello', third)
    await until(async () => (await digestOf(server, 'hello')) === three, 'the newest commit is served')
    assert.equal(await digestOf(server, 'hello', 'old'), one)
  })

  it('that is gone is served at its last good revision, or results in 503 if there is none', async () => {
    const repository = await newRepository()
    await commitSet(repository, greeting('here'))
    const environment = { NIXERY_PKGS_REPO: `file://${repository}`, NIXERY_PIN_TTL: '1' }
    const server = await workspace.serve(environment)
    const digest = await digestOf(server, 'hello')
    await rename(repository, `${repository}.away`)
    await until(async () => {
      assert.equal(await digestOf(server, 'hello'), digest)
      return (await logOf(server)).some(({ msg }) => msg.includes('last good revision'))
    }, 'the server reports that the repository is gone')

    const fresh = await workspace.serve(environment)
    const { response } = await requestV2(fresh, 'hello/manifests/latest')
    assert.equal(response.status, 503)
    assert.ok(response.headers.get('Retry-After'))
    assert.match((await failureOf(fresh, 'hello')).message, /cannot be fetched/)
    await rename(`${repository}.away`, repository)
    // The server retries after a pause.
    await until(async () => (await statusOf(fresh, 'hello', 'latest')) === 200, 'the server retries')
    assert.equal(await digestOf(fresh, 'hello'), digest)
  })
})

describe('a channel', () => {
  let mirror: Server
  let address: string
  let folder: string
  let requests = 0
  before(async () => {
    folder = join(workspace.folder, 'mirror')
    await mkdir(folder)
    mirror = createServer((request, response) => {
      requests += 1
      const file = createReadStream(join(folder, (request.url ?? '').replaceAll('/', '')))
      file.once('error', () => response.writeHead(404).end())
      file.once('open', () => file.pipe(response))
    })
    await new Promise<void>((resolve) => {
      mirror.listen(0, '127.0.0.1', resolve)
    })
    address = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}`
  })
  after(() => mirror.close())

  async function publish(channel: string, body: string): Promise<void> {
    const set = await workspace.packageSet(body)
    const tree = join(workspace.folder, `tree-${performance.now()}`)
    await mkdir(join(tree, 'nixpkgs'), { recursive: true })
    await execa('cp', [join(set, 'default.nix'), join(tree, 'nixpkgs')])
    await execa('tar', ['-czf', join(folder, `${channel}.tar.gz`), '-C', tree, 'nixpkgs'])
    await rm(tree, { recursive: true })
  }

  it('is pinned for a time, and serves only allowed channels as tags', async () => {
    const commit = 'c'.repeat(40)
    await publish('stable', greeting('stable'))
    await publish('next', greeting('next'))
    await publish(commit, greeting('commit'))
    const settings = {
      NIXERY_CHANNEL: 'stable',
      NIXERY_CHANNEL_URL: `${address}/{channel}.tar.gz`,
      NIXERY_CHANNEL_TAGS: 'next|gone|c+',
    }
    const server = await workspace.serve(settings)
    const stable = await digestOf(server, 'hello')
    assert.equal(await digestOf(server, 'hello', 'stable'), stable)
    assert.notEqual(await digestOf(server, 'hello', 'next'), stable)
    assert.equal(await statusOf(server, 'hello', 'other'), 404)
    assert.equal(await statusOf(server, 'hello', 'gone'), 404)
    // A missing channel is cached, too.
    const previous = requests
    assert.equal(await statusOf(server, 'hello', 'gone'), 404)
    assert.equal(await statusOf(server, 'hello', commit), 404)
    assert.equal(requests, previous)
    const impatient = await workspace.serve({ ...settings, NIXERY_PIN_TTL: '1' })
    assert.equal(await digestOf(impatient, 'hello'), stable)
    await publish('stable', greeting('newer'))
    await until(async () => (await digestOf(impatient, 'hello')) !== stable, 'the new channel is served')
    assert.equal(await digestOf(server, 'hello'), stable)
  })
})

describe('a flake', () => {
  it('serves its packages, with the tag as ref', async () => {
    const repository = await newRepository()
    const flakeOf = async (text: string) => {
      const set = await workspace.packageSet(greeting(text))
      await execa('cp', [join(set, 'default.nix'), repository])
      await writeFile(
        join(repository, 'flake.nix'),
        '{ outputs = { self }: { packages.x86_64-linux = import ./. { system = "x86_64-linux"; }; }; }',
      )
      await git(repository, 'add', '-A')
      await git(repository, 'commit', '-m', text)
    }
    await flakeOf('one')
    await git(repository, 'branch', 'old')
    await flakeOf('two')
    const server = await workspace.serve({ NIXERY_FLAKE: `git+file://${repository}` })
    const latest = await digestOf(server, 'hello')
    assert.notEqual(await digestOf(server, 'hello', 'old'), latest)
    assert.equal((await failureOf(server, 'nothing')).status, 404)
    for (const tag of ['nothing', '0'.repeat(40)]) {
      assert.equal(await statusOf(server, 'hello', tag), 404)
    }
  })
})

describe('the policy', () => {
  it('reports which package it denies, and why', async () => {
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi";
      secret = script "secret" "echo hi";
      nested = { tool = hello; };
      costly = throw "Package ‘costly-1.0’ in x.nix:1 has an unfree license (‘unfree’), refusing to evaluate.";
      defunct = throw "Package ‘defunct-1.0’ in x.nix:1 is marked as broken, refusing to evaluate.";
    `)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_DENY: 'secret, nested.*' })
    const rows: [string, RegExp][] = [
      ['secret', /secret: is not served by this registry/],
      ['SECRET', /is not served/],
      ['nested.tool', /nested\.tool: is not served/],
      ['costly', /costly: has an unfree licence/],
      ['defunct/hello', /defunct: is marked as broken/],
    ]
    for (const [name, message] of rows) {
      const failure = await failureOf(server, name)
      assert.deepEqual([failure.status, failure.code], [403, 'DENIED'], name)
      assert.match(failure.message, message)
    }
    await digestOf(server, 'hello')
  })

  it('is passed to sets that take a configuration and overlays', async () => {
    const folder = join(workspace.folder, 'configured')
    await mkdir(folder)
    await writeFile(
      join(folder, 'default.nix'),
      `{ system, config ? { }, overlays ? [ ] }: let
         make = name: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; };
         self = { base = make "base"; } // (if config.allowUnfree or false then { costly = make "costly"; } else { });
       in builtins.foldl' (set: overlay: set // overlay set set) self overlays`,
    )
    const overlay = join(workspace.folder, 'overlay.nix')
    await writeFile(overlay, 'final: prev: { added = prev.base; }')
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: folder,
      NIXERY_ALLOW_UNFREE: 'true',
      NIXERY_OVERLAYS: overlay,
    })
    await digestOf(server, 'costly/added')
    const plain = await workspace.serve({ NIXERY_PKGS_PATH: folder })
    assert.equal((await failureOf(plain, 'costly')).status, 404)
  })
})
