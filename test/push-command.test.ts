import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa, type Options } from 'execa'
import { openPodman } from '../scripts/podman.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { runNixery, untilPrints } from './support/command.ts'
import {
  makeCertificate,
  passwordFile,
  startDockerRegistry,
  startTokenServer,
  type DockerRegistry,
} from './support/docker-registry.ts'
import { requestV2, demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

type Result = {
  digest: string
  config: string
  layers: { digest: string }[]
  references: string[]
  blobs: { present: number; mounted: number; uploaded: number }
}

let workspace: Workspace
let demo: string
const stops: (() => Promise<void>)[] = []
before(async () => {
  workspace = await openWorkspace()
  demo = await demoPackages()
})
after(async () => {
  for (const stop of stops) await stop()
  await workspace.dispose()
})

const inFolder = (name: string) => join(workspace.folder, name)
/** The environment of a user who is not logged in to any registry. */
const loggedOut = () => ({
  HOME: inFolder('home'),
  XDG_RUNTIME_DIR: inFolder('run'),
  REGISTRY_AUTH_FILE: undefined,
})
const nixery = (args: readonly string[], { env, ...options }: Options = {}, data = 'data') =>
  runNixery(inFolder(data), demo, args, { env: { ...loggedOut(), ...env }, ...options })

/** Pushes an image and returns the result. */
async function push(args: readonly string[], options: Options = {}, data = 'data'): Promise<Result> {
  const run = await nixery(['push', ...args, '--json'], options, data)
  assert.equal(run.exitCode, 0, run.stderr)
  return JSON.parse(run.stdout) as Result
}

async function assertRefused(args: readonly string[], code: number, message: RegExp, options: Options = {}) {
  const run = await nixery(['push', ...args], options)
  assert.match(run.stderr, message)
  assert.equal(run.exitCode, code, run.stderr)
  assert.equal(run.stdout, '')
  return run
}

const startRegistry = async (name: string, settings = {}): Promise<DockerRegistry> => {
  const registry = await startDockerRegistry(inFolder(name), settings)
  stops.push(() => registry.stop())
  return registry
}

describe('nixery push', () => {
  let registry: DockerRegistry
  before(async () => {
    registry = await startRegistry('open')
  })

  it('uploads an image once, which podman pulls and runs', async () => {
    const to = `${registry.address}/team/tools`
    const first = await push(['shell/hello', `${to}:v1`, '--tag', 'v2', '--tag', 'latest'])
    const count = first.layers.length + 1
    assert.deepEqual(first.blobs, { present: 0, mounted: 0, uploaded: count })
    assert.deepEqual(first.references, [`${to}:v1`, `${to}:v2`, `${to}:latest`])
    const second = await push(['shell/hello', `${to}:v3`])
    assert.deepEqual(second.blobs, { present: count, mounted: 0, uploaded: 0 })
    const listed = JSON.parse(
      (await execa('skopeo', ['list-tags', '--tls-verify=false', `docker://${to}`])).stdout,
    )
    assert.deepEqual((listed as { Tags: string[] }).Tags, ['latest', 'v1', 'v2', 'v3'])

    const podman = await openPodman(inFolder('podman'))
    try {
      await podman.pull(`${to}@${first.digest}`)
      assert.equal(await podman.runIn(`${to}@${first.digest}`, 'hello'), 'Hello, world!')
    } finally {
      await podman.destroy()
    }
    const copied = await execa('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${to}:v2`], {
      stripFinalNewline: false,
    })
    assert.equal((JSON.parse(copied.stdout) as { mediaType: string }).mediaType, mediaTypes.oci.manifest)
  })

  it('produces the same digests as the server, in both formats', async () => {
    const server = await workspace.serve({ NIXERY_PKGS_PATH: demo })
    for (const form of ['oci', 'docker'] as const) {
      const { digest } = await push(['shell/hello', `${registry.address}/forms/${form}`, '--format', form])
      const { response } = await requestV2(server, 'shell/hello/manifests/latest', {
        headers: { Accept: mediaTypes[form].manifest },
      })
      assert.equal(digest, response.headers.get('Docker-Content-Digest'))
    }
    await server.stop()
  })

  it('mounts blobs from repositories that it pushed to before, and from those in --mount-from', async () => {
    const { blobs, layers } = await push(['shell/hello', `${registry.address}/other`])
    assert.deepEqual(blobs, { present: 0, mounted: layers.length + 1, uploaded: 0 })
    const args = ['shell/hello', `${registry.address}/fresh`, '--mount-from', 'team/tools']
    const fresh = await push(args, {}, 'fresh')
    assert.deepEqual(fresh.blobs, { present: 0, mounted: layers.length + 1, uploaded: 0 })
    const wrong = await push(['hello', `${registry.address}/wrong`, '--mount-from', 'none'], {}, 'wrong')
    assert.equal(wrong.blobs.mounted, 0)
  })

  it('reports progress, and prints only the location of the image on standard output', async () => {
    const run = await nixery(['push', 'hello', `${registry.address}/progress`])
    assert.match(run.stdout, new RegExp(`^${registry.address}/progress@sha256:[0-9a-f]{64}$`))
    assert.match(run.stderr, /^pushing .* to 127\.0\.0\.1:\d+\/progress:latest$/m)
    assert.match(run.stderr, /blobs: \d+ uploaded, \d+ mounted, \d+ already present/)
  })

  it('refuses invalid arguments before it builds', async () => {
    await assertRefused(['hello', 'team/tools'], 2, /must begin with the host/)
    await assertRefused(['hello', `${registry.address}/Tools`], 2, /lower-case/)
    await assertRefused(['hello', `${registry.address}/tools`, '--tag', 'a b'], 2, /tag/)
    await assertRefused(['hello', `${registry.address}/tools`, '--format', 'zip'], 2, /Allowed choices/)
    await assertRefused(
      ['hello', `${registry.address}/tools`, '--username', 'x'],
      2,
      /must be given together/,
    )
    await assertRefused(['hello', '127.0.0.1:1/tools'], 7, /127\.0\.0\.1:1 cannot be reached: ECONNREFUSED/)
    await assertRefused(['nope', `${registry.address}/tools`], 3, /\[nope\]/)
  })

  it('can be interrupted during an upload', async () => {
    const server = createServer((request, response) => {
      if (request.url === '/v2/') response.end('{}')
      else if (request.method === 'HEAD') response.writeHead(404).end()
      else if (request.method === 'POST') response.writeHead(202, { Location: '/v2/upload' }).end()
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const run = nixery(['push', 'hello', `127.0.0.1:${(server.address() as AddressInfo).port}/x`])
    await untilPrints(run, /pushing/)
    run.kill('SIGINT')
    assert.equal((await run).exitCode, 130)
    server.closeAllConnections()
    server.close()
  })
})

describe('credentials', () => {
  const secret = 'pass:word'
  const encoded = Buffer.from(`user:${secret}`).toString('base64')

  it('come from podman login or standard input, and are never shown', async () => {
    const path = await passwordFile(inFolder('htpasswd'))
    const registry = await startRegistry('htpasswd', { auth: { htpasswd: { realm: 'test', path } } })
    const args = ['hello', `${registry.address}/private/tools`]
    await assertRefused(args, 7, /\(401\)\n.*podman login/)

    const typed = { input: `${secret}\n`, stdin: undefined }
    const asUser = ['--username', 'user', '--password-stdin']
    assert.ok((await push([...args, ...asUser], typed)).blobs.uploaded > 0)
    const wrong = await assertRefused([...args, ...asUser], 7, /do not allow this/, {
      input: 'wrong',
      stdin: undefined,
    })

    const file = inFolder('login.json')
    const login = [
      'login',
      '--tls-verify=false',
      '--authfile',
      file,
      '-u',
      'user',
      '-p',
      secret,
      registry.address,
    ]
    await execa('skopeo', login)
    const run = await nixery(['push', ...args, '--json'], { env: { REGISTRY_AUTH_FILE: file } })
    assert.equal(run.exitCode, 0, run.stderr)
    for (const text of [run.stderr, run.stdout, wrong.stderr]) {
      assert.ok(!text.includes(secret) && !text.includes(encoded), text)
    }
    assert.ok((await readFile(file, 'utf8')).includes(encoded))
    for (const name of await readdir(inFolder('data/pushed'))) {
      assert.doesNotMatch(await readFile(join(inFolder('data/pushed'), name), 'utf8'), /pass|auth/)
    }
  })

  it('are exchanged for a token that docker-registry accepts, also for mounted blobs', async () => {
    const certificate = await makeCertificate(inFolder('token-key'))
    const tokens = await startTokenServer(`Basic ${encoded}`, certificate)
    stops.push(() => tokens.stop())
    const { realm } = tokens
    const rootcertbundle = certificate.certificate
    const registry = await startRegistry('token', {
      auth: { token: { realm, service: 'test registry', issuer: 'test', rootcertbundle } },
    })
    await assertRefused(['hello', `${registry.address}/a/b`], 7, /\(401.*\n.*podman login/)

    const typed = { input: secret, stdin: undefined }
    const asUser = ['--username', 'user', '--password-stdin']
    const first = await push(['hello', `${registry.address}/a/b`, ...asUser], typed)
    assert.ok(first.blobs.uploaded > 0)
    const second = await push(['hello', `${registry.address}/a/c`, ...asUser], typed)
    assert.equal(second.blobs.mounted, first.blobs.uploaded)
    assert.ok(tokens.requested.some((scopes) => scopes.includes('repository:a/b:pull')))
    await assertRefused(
      ['hello', `${registry.address}/a/b`, ...asUser],
      7,
      /responded with 401\n.*log in again/,
      {
        input: 'wrong',
        stdin: undefined,
      },
    )
  })

  it('are sent only to a registry with a trusted certificate, or with --insecure', async () => {
    const tls = await makeCertificate(inFolder('tls'))
    const registry = await startRegistry('tls', { tls })
    const args = ['hello', `${registry.address}/tls`]
    await assertRefused(args, 7, /cannot be reached: DEPTH_ZERO_SELF_SIGNED_CERT\n.*--insecure/)
    assert.ok((await push([...args, '--insecure'])).blobs.uploaded > 0)
    const trusting = { env: { NODE_EXTRA_CA_CERTS: tls.certificate } }
    assert.equal((await push(args, trusting)).blobs.uploaded, 0)
  })
})
