import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { BuildEvent } from '../src/builds/events.ts'
import { hasCode } from '../src/errors.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { makeCache, nix, serveByNginx } from './support/binary-cache.ts'
import {
  auto,
  buildPackages,
  caches,
  digestOf,
  openCacheImages,
  origins,
  deletePaths,
  type CacheImages,
} from './support/cache-images.ts'
import { runNixery } from './support/command.ts'
import { until } from './support/until.ts'
import { demoPackages } from './support/workspace.ts'

let images: CacheImages
let demo: string
before(async () => {
  ;[images, demo] = await Promise.all([openCacheImages(), demoPackages()])
})
afterEach(() => images.closeFaultyCaches())
after(() => images.dispose())

/** The packages of every image of the demo set, and those of `shell`. */
const basePackages = ['cacert', 'iana-etc', 'bashInteractive', 'coreutils', 'moreutils', 'nano']

describe('images directly from binary caches', () => {
  it('are the same as from the store: several packages, both platforms', async () => {
    const paths = await buildPackages(demo, [...basePackages, 'jq', 'hello'])
    paths.push(...(await buildPackages(demo, ['hello', 'cacert', 'iana-etc'], 'aarch64-linux')))
    await makeCache(join(images.root, 'demo'), paths, { compression: 'zstd', secret: images.key.secret })
    const ofDemo = { NIXERY_PKGS_PATH: demo }
    const names = ['hello', 'shell/jq', 'arm64/hello']
    const fromStore = await images.build(names, ofDemo)
    const fromCache = await images.build(names, { ...ofDemo, ...caches(`${images.url}/demo`) })
    assert.deepEqual(fromCache.digests, fromStore.digests)
    assert.deepEqual(origins(fromCache.events), ['caches', 'caches', 'caches'])
  })

  it('need no store path, with any compression, and request known paths only once', async () => {
    const paths = await buildPackages(images.set, ['odd', 'apart'])
    const { stdout } = await nix('nix-store', ['--query', '--requisites', ...paths])
    const fromStore = await images.build(['odd', 'apart'], {})
    for (const compression of ['xz', 'zstd', 'none'] as const)
      await makeCache(join(images.root, compression), paths, { compression, secret: images.key.secret })
    await deletePaths(stdout.split('\n'))
    const addresses = [`${images.url}/xz`, `${images.url}/zstd`, `file://${images.root}/none`]
    for (const address of addresses) {
      const { digests, events, data } = await images.build(['odd', 'apart'], caches(address))
      assert.deepEqual(digests, fromStore.digests)
      const downloaded = events.flatMap((event) => (event.type === 'downloaded' ? [event.path] : []))
      assert.equal(downloaded.length, 4, 'shared paths are downloaded once')
      // Another image of known packages needs only their listings, which are cached.
      const another = await images.build(['odd/apart'], { ...caches(address) }, data)
      assert.ok(another.events.every(({ type }) => type !== 'downloaded'))
    }
    assert.ok(paths.every((path) => !existsSync(path)))
  })

  it('are downloaded before all narinfos have arrived, and linked before all layers are packed', async () => {
    const folder = join(images.root, 'zstd')
    const names = (await readdir(folder)).filter((name) => name.endsWith('.narinfo'))
    const infos = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
    const ofOther = infos.find((text) => /^StorePath: .*-other$/m.test(text)) ?? assert.fail()
    const nar = await readFile(join(folder, /^URL: (.*)$/m.exec(ofOther)?.[1] ?? ''))
    const downloadStarted = Promise.withResolvers<void>()
    let events: readonly BuildEvent[] = []
    const isLinked = () => events.some((event) => event.type === 'packed' && event.paths === 0)
    const url = await images.faultyCache(/narinfo$|nar\//, async (bytes) => {
      const isNarinfo = bytes.subarray(0, 9).toString() === 'StorePath'
      if (!isNarinfo) downloadStarted.resolve()
      if (bytes.toString() === ofOther) await downloadStarted.promise
      if (bytes.equals(nar)) await until(isLinked, 'the tree of links is packed')
      return { body: bytes }
    })
    const opened = await images.open(caches(url))
    events = opened.events
    try {
      await digestOf(opened.worker, 'apart')
    } finally {
      await opened.worker.close()
    }
  })

  it('with `auto` come from the store, otherwise from a cache, otherwise from Nix', async () => {
    const first = await images.build(['odd', 'lonely'], auto(`${images.url}/xz`))
    assert.deepEqual(origins(first.events), ['caches', 'nix'])
    const second = await images.build(['lonely'], auto(`${images.url}/xz`))
    assert.deepEqual(origins(second.events), ['nix'])
  })

  it('of known packages are built without reading the store', async () => {
    const settings = {
      NIXERY_PKGS_PATH: images.set,
      NIXERY_DATA: join(images.workspace.folder, 'of-the-store'),
      STORAGE_PATH: join(images.workspace.folder, 'of-the-store', 'store'),
    }
    const pulled = async (...names: string[]) => {
      // A new process, because contents are cached in memory, too.
      const server = await images.workspace.serve(settings)
      const digests: (string | null)[] = []
      for (const name of names) {
        const response = await fetch(`http://${server.address}/v2/${name}/manifests/latest`, {
          headers: { Accept: mediaTypes.oci.manifest },
        })
        digests.push(response.headers.get('docker-content-digest'))
      }
      await server.stop()
      return digests
    }
    await pulled('plain', 'lonely')
    const paths = await buildPackages(images.set, ['plain', 'lonely'])
    for (const path of paths) await rename(path, `${path}.away`)
    try {
      const both = await pulled('plain/lonely')
      for (const path of paths) await rename(`${path}.away`, path)
      assert.deepEqual(both, (await images.build(['plain/lonely'], {})).digests)
    } finally {
      for (const path of paths) await rename(`${path}.away`, path).catch(() => {})
    }
  })

  it('fail with the missing path if no cache has it', async () => {
    await assert.rejects(images.build(['lonely'], caches(`${images.url}/xz`)), (error) => {
      assert.ok(hasCode(error, 'BUILD_FAILED'))
      assert.match(
        error.message,
        /\/nix\/store\/\w{32}-lonely is in no binary cache:\n.*127.0.0.1.*does not have it/,
      )
      return true
    })
  })

  it('come from a cache that requires a bearer token, which is not sent to another host after a redirect', async () => {
    const { workspace, root, url } = images
    const token = 'Bearer secret-of-the-cache'
    const guarded = await serveByNginx(
      join(workspace.folder, 'guarded'),
      root,
      `if ($http_authorization != "${token}") { return 401; }
       location /zstd/nar/ { return 307 ${url}$request_uri; }
       limit_rate 1m;`,
    )
    try {
      const { host } = new URL(guarded.url)
      const refused = images.build(['apart'], caches(`${guarded.url}/zstd`))
      await assert.rejects(
        refused,
        /responded with 401: it requires credentials, see netrc-file .* and NIXERY_CACHE_TOKENS/,
      )
      const settings = {
        ...caches(`${guarded.url}/zstd`),
        NIXERY_CACHE_TOKENS: `${host}=secret-of-the-cache`,
      }
      const { digests } = await images.build(['apart'], settings)
      assert.deepEqual(digests, (await images.build(['apart'], caches(`${url}/zstd`))).digests)
      // A slow download reports its progress.
      const slow = { ...settings, ...caches(`${guarded.url}/xz`) }
      const { events } = await images.build(['odd'], slow)
      const progress = events.flatMap((event) => (event.type === 'downloading' ? [event.bytes] : []))
      const all = events.flatMap((event) => (event.type === 'downloaded' ? [event.bytes] : []))
      assert.ok(progress.length >= 2, String(progress))
      assert.deepEqual(
        progress,
        progress.toSorted((a, b) => a - b),
      )
      assert.equal(
        progress.at(-1),
        all.reduce((sum, bytes) => sum + bytes, 0),
      )
    } finally {
      await guarded.stop()
    }
  })

  it('can be planned without the store', async () => {
    const env = { NIXERY_TRUSTED_KEYS: images.key.text, ...caches(`${images.url}/zstd`) }
    const { stdout } = await runNixery(
      join(images.workspace.folder, 'plan'),
      images.set,
      ['plan', 'apart', '--json'],
      {
        env,
      },
    )
    assert.equal((JSON.parse(stdout) as { paths: number }).paths, 3)
  })

  it('are served, with metrics for each cache and error messages for clients', async () => {
    const server = await images.workspace.serve({
      NIXERY_PKGS_PATH: images.set,
      NIXERY_TRUSTED_KEYS: images.key.text,
      ...caches(`${images.url}/xz`),
    })
    const pull = (name: string) => fetch(`http://${server.address}/v2/${name}/manifests/latest`)
    assert.equal((await pull('odd')).status, 200)
    const metrics = await fetch(`http://${server.address}/metrics`).then((response) => response.text())
    assert.match(metrics, new RegExp(`nixery_cache_hits_total\\{cache="${images.url}/xz"\\} 3`))
    assert.match(metrics, /nixery_cache_received_bytes_total\{cache="[^"]*"\} \d{6}/)
    assert.match(metrics, /nixery_cache_seconds_total\{cache="[^"]*"\} 0?\.?\d/)
    const refused = await pull('lonely')
    assert.equal(refused.ok, false)
    assert.match(await refused.text(), /\/nix\/store\/\w{32}-lonely is in no binary cache/)
  })
})
