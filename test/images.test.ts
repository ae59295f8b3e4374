import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { openPodman, type Podman } from '../scripts/podman.ts'
import type { ServerProcess } from '../scripts/server.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { blobsSent, layersOf } from './clients/checks.ts'
import { linksOf } from './support/links.ts'
import { logOf } from './support/log.ts'
import { requestV2, demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let server: ServerProcess
let podman: Podman
let environment: Record<string, string>
before(async () => {
  workspace = await openWorkspace()
  environment = { NIXERY_PKGS_PATH: await demoPackages(), NIX_TIMEOUT: '600' }
  server = await workspace.serve(environment)
  podman = await openPodman(join(workspace.folder, 'podman'))
})
after(async () => {
  await podman.destroy()
  await workspace.dispose()
})

const digestOfName = async (from: ServerProcess, name: string) => {
  const { response, text } = await requestV2(from, `${name}/manifests/latest`)
  assert.equal(response.status, 200, text)
  return response.headers.get('Docker-Content-Digest')
}

const skopeo = (...args: string[]) => execa('skopeo', ['copy', '--src-tls-verify=false', ...args])

describe('an image', () => {
  it('is pulled and run by podman', async () => {
    const image = `${server.address}/shell/hello`
    await podman.pull(image)
    assert.equal(await podman.runIn(image, 'hello'), 'Hello, world!')
    assert.equal(
      await podman.runIn(image, 'sh', '-c', 'echo "$0 $SSL_CERT_FILE"; head -c 27 $SSL_CERT_FILE'),
      'sh /etc/ssl/certs/ca-bundle.crt\n-----BEGIN CERTIFICATE-----',
    )
  })

  it('has the files of a usual system', async () => {
    const image = `${server.address}/shell/hello`
    await podman.pull(image)
    const script = `
      stat -c '%a %n' /tmp /var/tmp /root
      touch /tmp/x /var/tmp/x /root/x /bin/x /etc/x && echo writable
      /usr/bin/env true && echo env
      id -un
      wc -l < /etc/services
      tail -1 /etc/passwd | cut -d: -f3
      pwd; echo $BASH_VERSION | cut -c1-2`
    const lines = (await podman.runIn(image, '/bin/sh', '-c', script)).split('\n')
    assert.deepEqual(lines.slice(0, 6), [
      '1777 /tmp',
      '1777 /var/tmp',
      '700 /root',
      'writable',
      'env',
      'root',
    ])
    assert.ok(Number(lines[6]) > 0)
    assert.deepEqual(lines.slice(7), ['65534', '/', '5.'])
  })

  it('prefers GNU programs to those of busybox, whatever the order of names', async () => {
    const links = await linksOf(server, 'shell/busybox/curl')
    for (const program of ['ls', 'cat', 'env', 'date']) {
      assert.match(links.get(`usr/bin/${program}`) ?? '', /^coreutils-/, program)
    }
    assert.match(links.get('usr/bin/sh') ?? '', /^bash-/)
    assert.match(links.get('usr/bin/vi') ?? '', /^busybox-/)
  })

  it('has the shell as default command if it contains one', async () => {
    const image = `${server.address}/shell/hello`
    const config = JSON.parse(
      await podman.run('image', 'inspect', '--format', '{{json .Config}}', image),
    ) as { Cmd: string[] }
    assert.deepEqual(config.Cmd, ['bash'])
  })

  // In one image, because each pull takes seconds. test/images/ runs more packages.
  const programs: [command: string[], expected: RegExp][] = [
    [['git', '--version'], /^git version/],
    [['htop', '--version'], /^htop/],
    [['jq', '-n', '1+1'], /^2$/],
    [['curl', '--version'], /^curl/],
    [['python3', '-c', 'import ssl, sqlite3; print("ok")'], /^ok$/],
    [['node', '-p', '6*7'], /^42$/],
    [['7zz'], /7-Zip/],
    [['cowsay', 'hi'], /< hi >/],
  ]
  it('has programs of eight packages that run', async () => {
    const image = `${server.address}/shell/7zz/cowsay/curl/git/htop/jq/nodejs/python3`
    await podman.pull(image)
    for (const [command, expected] of programs) {
      assert.match(await podman.runIn(image, ...command), expected)
    }
  })

  it('is copied by skopeo to an OCI layout that umoci unpacks, and to a docker-archive', async () => {
    const source = `docker://${server.address}/shell/git`
    const layout = join(workspace.folder, 'layout')
    const archive = join(workspace.folder, 'archive.tar')
    await skopeo(source, `oci:${layout}:git`)
    await skopeo(source, `docker-archive:${archive}:git:latest`)
    await execa('umoci', ['unpack', '--image', `${layout}:git`, join(workspace.folder, 'bundle')])
    const root = join(workspace.folder, 'bundle', 'rootfs')
    const run = await execa('chroot', [root, '/bin/sh', '-c', 'PATH=/bin; ls /bin'])
    assert.match(run.stdout, /^git$/m)
    const { stdout } = await execa('tar', ['-tf', archive])
    assert.match(stdout, /manifest\.json/)
  })

  it('of another architecture contains programs of that architecture', async () => {
    const layout = join(workspace.folder, 'arm')
    await skopeo(
      '--override-arch=arm64',
      `docker://${server.address}/arm64/shell/hello`,
      `oci:${layout}:hello`,
    )
    await execa('umoci', ['unpack', '--image', `${layout}:hello`, join(workspace.folder, 'arm-bundle')])
    const root = join(workspace.folder, 'arm-bundle', 'rootfs')
    for (const program of ['/bin/hello', '/bin/sh', '/usr/bin/env']) {
      // chroot resolves the absolute links of the image.
      const { stdout } = await execa('chroot', [root, program, '--version'], { reject: false })
      assert.doesNotMatch(stdout, /GNU/, 'an arm64 program does not run here')
    }
    const inspected = await execa('skopeo', ['inspect', '--config', `oci:${layout}:hello`])
    assert.equal((JSON.parse(inspected.stdout) as { architecture: string }).architecture, 'arm64')
  })

  it('is pulled without the layers that a client already has', async () => {
    const fresh = await openPodman(join(workspace.folder, 'podman-fresh'))
    try {
      const blobs = async () => blobsSent(await logOf(server)).length
      await fresh.pull(`${server.address}/shell/hello`)
      const previous = await blobs()
      await fresh.pull(`${server.address}/shell/cowsay`)
      const layers = await layersOf(server, 'shell/cowsay')
      const fetched = (await blobs()) - previous
      assert.ok(fetched <= layers.length / 2, `${fetched} of ${layers.length}`)
    } finally {
      await fresh.destroy()
    }
  })
})

describe('the digest of an image', () => {
  const name = 'shell/git/jq'
  it('does not depend on the order and case of its packages', async () => {
    const digest = await digestOfName(server, name)
    assert.equal(await digestOfName(server, 'shell/jq/git'), digest)
    assert.equal(await digestOfName(server, 'amd64/shell/jq/git/git'), digest)
    assert.equal(await digestOfName(server, 'shell/jq/Git'), digest)
  })

  it('differs for another platform, and without a shell', async () => {
    const digests = await Promise.all(
      ['jq', 'shell/jq', 'arm64/jq'].map((each) => digestOfName(server, each)),
    )
    assert.equal(new Set(digests).size, 3)
  })

  it('is the same with a second store and catalog', async () => {
    const second = await workspace.serve(environment)
    assert.equal(await digestOfName(second, name), await digestOfName(server, name))
  })

  it('is the same after a restart, also without the old catalog or store', async () => {
    const data = join(workspace.folder, 'restarted')
    const settings = { ...environment, NIXERY_DATA: data, STORAGE_PATH: join(data, 'store') }
    const digest = await digestOfName(server, name)
    const removals = [[], ['catalog.db', 'catalog.db-wal', 'catalog.db-shm'], ['store']]
    for (const removed of [[], ...removals]) {
      for (const each of removed) await rm(join(data, each), { recursive: true, force: true })
      const restarted = await workspace.serve(settings)
      assert.equal(await digestOfName(restarted, name), digest)
      await checkBlobs(restarted)
      assert.equal(await restarted.stop(), 0)
    }
  })

  async function checkBlobs(from: ServerProcess): Promise<void> {
    const { json } = await requestV2(from, `${name}/manifests/latest`)
    const { layers } = json as { layers: { digest: string; size: number }[] }
    for (const { digest, size } of layers) {
      const { headers } = await fetch(`http://${from.address}/v2/${name}/blobs/${digest}`, { method: 'HEAD' })
      assert.equal(headers.get('Content-Length'), String(size))
    }
  }

  it('is built without Nix if its packages are known', async () => {
    const data = join(workspace.folder, 'known')
    const settings = { ...environment, NIXERY_DATA: data, STORAGE_PATH: join(data, 'store') }
    const first = await workspace.serve(settings)
    const digest = await digestOfName(first, name)
    await first.stop()
    const second = await workspace.serve(settings)
    assert.equal(await digestOfName(second, name), digest)
    const log = await logOf(second)
    assert.ok(!log.some((line) => line.msg === 'packages realised'))
    assert.equal(log.find((line) => line.msg === 'packages resolved')?.['evaluated'], 0)
    await second.stop()
  })
})

describe('a server for several platforms', () => {
  it('sends an index to clients that accept one, and its first platform to others', async () => {
    const both = await workspace.serve({ ...environment, NIXERY_PLATFORMS: 'arm64,amd64' })
    const request = async (name: string, accept: string) => {
      const { response, json } = await requestV2(both, `${name}/manifests/latest`, {
        headers: { Accept: accept },
      })
      return {
        type: response.headers.get('Content-Type'),
        digest: response.headers.get('Docker-Content-Digest'),
        json,
      }
    }
    for (const form of ['oci', 'docker'] as const) {
      const { index, manifest } = mediaTypes[form]
      const all = await request('hello', `${index}, ${manifest}`)
      assert.equal(all.type, index)
      const { manifests } = all.json as {
        manifests: { digest: string; platform: { architecture: string } }[]
      }
      assert.deepEqual(
        manifests.map(({ platform }) => platform.architecture),
        ['arm64', 'amd64'],
      )
      assert.equal((await request('hello', manifest)).digest, manifests[0]?.digest)
      assert.equal((await request('amd64/hello', `${index}, ${manifest}`)).digest, manifests[1]?.digest)
      assert.equal(
        (await requestV2(both, `hello/manifests/${all.digest}`)).response.headers.get('Content-Type'),
        index,
      )
    }
    const image = `${both.address}/shell/hello`
    await podman.pull(image)
    assert.equal(await podman.runIn(image, 'hello'), 'Hello, world!')
  })
})
