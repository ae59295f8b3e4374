import assert from 'node:assert/strict'
import { chmod, cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { mediaTypes } from '../src/image/oci.ts'
import { makeCache } from './support/binary-cache.ts'
import { built, caches, openCacheImages, type CacheImages } from './support/cache-images.ts'
import { launcher } from './support/command.ts'
import { openRepository } from './support/repository.ts'

let images: CacheImages
before(async () => {
  images = await openCacheImages()
  const { secret } = images.key
  const paths = await built(images.set, ['apart'])
  await makeCache(join(images.root, 'zstd'), paths, { compression: 'zstd', secret })
})
after(() => images.dispose())

const nobody = 65534
const ofNobody = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups']
const hidden = `mount -t tmpfs -o ro none /nix && exec ${ofNobody.join(' ')} "$0" "$@"`

/** Gives a folder to an ordinary user. */
const give = (folder: string) => execa('chown', ['-R', `${nobody}:${nobody}`, folder])

/** The package set as a folder, a git repository and a channel, each with the settings that name it. */
async function sources(): Promise<Record<string, Record<string, string>>> {
  const { workspace, set, root, url } = images
  const repository = await openRepository(workspace.folder)
  await repository.commit((folder) => cp(set, folder, { recursive: true }))
  await give(repository.folder)
  await execa('tar', [
    '-czf',
    join(root, 'stable.tar.gz'),
    '-C',
    workspace.folder,
    set.slice(1 + workspace.folder.length),
  ])
  return {
    'a folder': { NIXERY_PKGS_PATH: set },
    'a git repository': { NIXERY_PKGS_REPO: repository.url },
    'a channel': { NIXERY_CHANNEL: 'stable', NIXERY_CHANNEL_URL: `${url}/{channel}.tar.gz` },
  }
}

describe('images from binary caches on a machine without a Nix store', () => {
  it('are served by an ordinary user, whatever the package set comes from', async (test) => {
    if (process.getuid?.() !== 0) return test.skip('hiding the store needs root')
    const { failed } = await execa(ofNobody[0] ?? '', [...ofNobody.slice(1), launcher, '--help'], {
      reject: false,
    })
    if (failed) return test.skip('an ordinary user cannot read this checkout')
    const { workspace, url } = images
    await chmod(workspace.folder, 0o755)
    const layersOf: Record<string, string> = {}
    for (const [what, source] of Object.entries(await sources())) {
      const data = join(workspace.folder, `of-nobody-${Object.keys(layersOf).length}`)
      await mkdir(data)
      await give(data)
      const settings = {
        ...source,
        HOME: data,
        NIXERY_CACHE: join(data, 'cache'),
        NIXERY_DATA: data,
        STORAGE_PATH: join(data, 'store'),
        NIXERY_TRUSTED_KEYS: images.key.text,
        ...caches(`${url}/zstd`),
      }
      // After a restart, sources that were fetched are found again.
      for (const _start of what === 'a git repository' ? [1, 2] : [1]) {
        const server = await workspace.serve(settings, ['unshare', '--mount', 'sh', '-c', hidden])
        const answer = await fetch(`http://${server.address}/v2/apart/manifests/latest`, {
          headers: { Accept: mediaTypes.oci.manifest },
        })
        const text = await answer.text()
        assert.equal(answer.status, 200, `${what}: ${text}`)
        layersOf[what] = JSON.stringify((JSON.parse(text) as { layers: unknown }).layers)
        assert.ok(server.log.some(({ msg }) => msg.includes('evaluation and fetching write to')))
        await server.stop()
      }
    }
    assert.equal(new Set(Object.values(layersOf)).size, 1, JSON.stringify(layersOf))
  })
})
