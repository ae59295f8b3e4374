import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { mediaTypes } from '../src/image/oci.ts'
import { makeCache, nix } from './support/binary-cache.ts'
import { auto, buildPackages, caches, openCacheImages, type CacheImages } from './support/cache-images.ts'
import { launcher, runNixery } from './support/command.ts'
import { logOf } from './support/log.ts'
import { openRepository } from './support/repository.ts'
import { until } from './support/until.ts'

let images: CacheImages
before(async () => {
  images = await openCacheImages()
  const { secret } = images.key
  const paths = await buildPackages(images.set, ['apart', 'odd'])
  await makeCache(join(images.root, 'zstd'), paths, { compression: 'zstd', secret })
})
after(() => images.dispose())

/** A user id without a name, as in many containers. */
const stranger = 64_321
const asStranger = ['setpriv', `--reuid=${stranger}`, `--regid=${stranger}`, '--clear-groups']
const withoutStore = `mount -t tmpfs -o ro none /nix && exec ${asStranger.join(' ')} "$0" "$@"`

/** Makes that user the owner of a folder. */
const give = (folder: string) => execa('chown', ['-R', `${stranger}:${stranger}`, folder])

/** Settings with the package set as a folder, a git repository, a flake and a channel. */
async function sources(): Promise<Record<string, string>> {
  const { workspace, set, root, url } = images
  const repository = await openRepository(workspace.folder)
  await repository.commit(async (folder) => {
    await cp(set, folder, { recursive: true })
    await writeFile(
      join(folder, 'flake.nix'),
      '{ outputs = { self }: { packages.x86_64-linux = import ./. { system = "x86_64-linux"; }; }; }',
    )
  })
  await give(repository.folder)
  const archive = join(root, 'stable.tar.gz')
  await execa('tar', ['-czf', archive, '-C', workspace.folder, set.slice(1 + workspace.folder.length)])
  return {
    NIXERY_SETS: `folder=path:${set} git=git:${repository.url} flake=flake:git+${repository.url} channel=channel:stable`,
    NIXERY_CHANNEL_URL: `${url}/{channel}.tar.gz`,
  }
}

describe('images from binary caches on a machine without a Nix store', () => {
  it('are served by an unprivileged server, for any package source', async (test) => {
    if (process.getuid?.() !== 0) return test.skip('hiding the store needs root')
    const { failed } = await execa(asStranger[0] ?? '', [...asStranger.slice(1), launcher, '--help'], {
      reject: false,
    })
    if (failed) return test.skip('other users cannot read this checkout')
    const { workspace, url } = images
    await chmod(workspace.folder, 0o755)
    const data = join(workspace.folder, 'of-stranger')
    await mkdir(data)
    const settings = {
      ...(await sources()),
      HOME: data,
      NIXERY_CACHE: join(data, 'cache'),
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_TRUSTED_KEYS: images.key.text,
      ...caches(`${url}/zstd`),
    }
    await give(data)
    // The second server reuses the sources that the first one fetched.
    for (const packages of ['apart', 'apart/odd']) {
      const server = await workspace.serve(settings, ['unshare', '--mount', 'sh', '-c', withoutStore])
      const layers = new Set<string>()
      for (const name of ['folder', 'git', 'flake', 'channel']) {
        const response = await fetch(`http://${server.address}/v2/${name}/${packages}/manifests/latest`, {
          headers: { Accept: mediaTypes.oci.manifest },
        })
        const text = await response.text()
        assert.equal(response.status, 200, `${name}: ${text}`)
        layers.add(JSON.stringify((JSON.parse(text) as { layers: unknown }).layers))
        const hasLogged = (line: string) =>
          server.log.some(({ msg }) => msg.startsWith(`package set ${name}: ${line}`))
        const expected = name === 'flake' ? `evaluation writes to ${data}` : 'evaluation writes nothing'
        await until(() => hasLogged(expected), `the log says how the set ${name} is evaluated`)
      }
      assert.equal(layers.size, 1, [...layers].join('\n'))
      assert.ok((await logOf(server)).some(({ msg }) => msg.includes('package sets are fetched into')))
      await server.stop()
    }
    assert.deepEqual(await readdir(join(data, 'evaluators', 'stores')), [])
  })
})

describe('images from binary caches on a machine with a Nix store', () => {
  it('are evaluated without it, unless a package set needs a store', async () => {
    const { workspace, set, url } = images
    const { stdout } = await nix('nix-instantiate', [
      '--eval',
      '--json',
      set,
      '--argstr',
      'system',
      'x86_64-linux',
      '--attr',
      'apart.drvPath',
    ])
    const derivation = JSON.parse(stdout) as string
    await nix('nix-store', ['--delete', '--ignore-liveness', derivation])
    const needy = join(workspace.folder, 'needy')
    await mkdir(needy)
    const script = 'echo true >$out'
    await writeFile(
      join(needy, 'default.nix'),
      `{ system, ... }: let
         file = derivation { name = "flag"; builder = "/bin/sh"; args = [ "-c" "${script}" ]; inherit system; };
       in if import file then import ${set} { inherit system; } else { }`,
    )
    const server = await workspace.serve({
      NIXERY_SETS: `quiet=path:${set} needy=path:${needy}`,
      NIXERY_TRUSTED_KEYS: images.key.text,
      ...caches(`${url}/zstd`),
    })
    const digests: (string | null)[] = []
    for (const name of ['quiet/apart', 'needy/apart']) {
      const response = await fetch(`http://${server.address}/v2/${name}/manifests/latest`)
      assert.equal(response.status, 200, await response.text())
      digests.push(response.headers.get('docker-content-digest'))
      assert.equal(existsSync(derivation), name.startsWith('needy'))
    }
    assert.equal(digests[0], digests[1])
    const log = await logOf(server)
    const evaluationLog = (name: string) =>
      log.flatMap(({ msg }) => (msg.startsWith(`package set ${name}: evaluation`) ? [msg] : []))
    assert.deepEqual(evaluationLog('quiet'), [
      'package set quiet: evaluation writes nothing to the Nix store',
    ])
    assert.match(
      evaluationLog('needy').join('\n'),
      /^package set needy: evaluation needs a store, and writes to the Nix store from now on: path .*flag.drv' is not valid$/,
    )
    await server.stop()
  })

  it('are planned if Nix must build them and their derivations are not in the store yet', async () => {
    const { workspace, url } = images
    const set = await workspace.packageSet('fresh = run "fresh" "echo > $out";')
    const env = { NIXERY_TRUSTED_KEYS: images.key.text, ...auto(`${url}/zstd`) }
    const args = ['plan', 'fresh', '--json']
    const { stdout } = await runNixery(join(workspace.folder, 'plan'), set, args, { env })
    assert.equal((JSON.parse(stdout) as { paths: number }).paths, 1)
  })
})
