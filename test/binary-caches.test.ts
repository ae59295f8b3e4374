import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { buildImage } from '../src/builds/builds.ts'
import type { BuildEvent } from '../src/builds/events.ts'
import { readConfig } from '../src/config.ts'
import { hasCode } from '../src/errors.ts'
import { parseImageReference } from '../src/image/name.ts'
import { openServer, type Reply, type TestServer } from '../src/popcount/testing.ts'
import { makeCache, makeKey, nix, serveByNginx } from './support/binary-cache.ts'
import { openLocalWorker, type LocalWorker } from './support/worker.ts'
import { demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
let root: string
let key: { secret: string; text: string }
let nginx: { url: string; stop(): Promise<unknown> }
let small: string
let demo: string
/** The digest of `apart`, as the store gives it. */
let ofApart: string
let count = 0
const servers: TestServer[] = []

// What every image has, and the odd package: bytes of every kind, twice the size of a block.
const usual = ['cacert', 'iana-etc', 'bashInteractive', 'coreutils', 'moreutils', 'nano']
const body = `
  odd = run "odd" ''
    mkdir -p $out/bin $out/empty $out/deep/er
    head -c 2500000 /dev/urandom > $out/noise
    seq 1 200000 > $out/deep/numbers
    echo '#!/bin/sh' > $out/bin/sh; chmod +x $out/bin/sh; ln -s sh $out/bin/env
    ln -s ../\${lib} $out/lib
    : > "$out/$(printf 'n\\351\\377')"; : > "$out/a b"; : > $out/A; : > $out/-
  '';
  lib = run "lib" "mkdir -p $out/lib; echo \${other} > $out/lib/text";
  other = run "other" "echo > $out";
  apart = run "apart" "echo \${lib} > $out";
  lonely = run "lonely" "echo > $out";
`

before(async () => {
  workspace = await openWorkspace()
  ;[small, demo] = await Promise.all([workspace.packageSet(body), demoPackages()])
  key = await makeKey(workspace.folder, 'test-1')
  root = join(workspace.folder, 'caches')
  await mkdir(root)
  nginx = await serveByNginx(join(workspace.folder, 'nginx'), root)
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})
after(async () => {
  await nginx.stop()
  await workspace.dispose()
})

/** Builds packages of a set, and gives their paths. */
async function built(set: string, attributes: readonly string[], system = 'x86_64-linux'): Promise<string[]> {
  const selected = attributes.flatMap((attribute) => ['-A', attribute])
  const { stdout } = await nix('nix-build', ['--no-out-link', set, '--argstr', 'system', system, ...selected])
  return stdout.split('\n')
}

/** A program of its own over a set, with a data folder of its own unless one is given. */
async function open(
  set: string,
  settings: Readonly<Record<string, string>>,
  data = join(workspace.folder, `d${(count += 1)}`),
) {
  const config = readConfig({
    NIXERY_PKGS_PATH: set,
    NIXERY_DATA: data,
    STORAGE_PATH: join(data, 'store'),
    NIXERY_TRUSTED_KEYS: key.text,
    NIXERY_CACHE_TIMEOUT: '1',
    ...settings,
  })
  const events: BuildEvent[] = []
  const worker = await openLocalWorker(config, {
    listener: (_, event) => void events.push(event),
    note: () => {},
    warn: () => {},
  })
  return { worker, events, data }
}
const digestOf = async ({ builds }: LocalWorker, name: string): Promise<string> =>
  (await buildImage(builds, parseImageReference(name), { requestId: 'test' })).manifests.oci.digest

/** The digests of images, and what happened. */
async function made(
  set: string,
  names: readonly string[],
  settings: Readonly<Record<string, string>>,
  data?: string,
) {
  const { worker, events, data: folder } = await open(set, settings, data)
  try {
    const digests: string[] = []
    for (const name of names) digests.push(await digestOf(worker, name))
    return { digests, events, data: folder }
  } finally {
    await worker.close()
    assert.deepEqual(await readdir(worker.store.spoolDirectory), [])
  }
}
const origins = (events: readonly BuildEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'realised' ? [event.origin ?? 'nix'] : []))
const caches = (address: string) => ({ NIXERY_ORIGIN: 'caches', NIXERY_SUBSTITUTERS: address })
const auto = (address: string) => ({ NIXERY_ORIGIN: 'auto', NIXERY_SUBSTITUTERS: address })

/** Removes paths from the store of this machine: what is made of them from now on comes from elsewhere. */
async function removed(paths: readonly string[]): Promise<void> {
  await nix('nix-store', ['--delete', '--ignore-liveness', ...paths])
  for (const path of paths) assert.ok(!existsSync(path))
}

describe('images straight from binary caches', () => {
  it('are those that the store gives: several packages, both platforms', async () => {
    const paths = await built(demo, [...usual, 'jq', 'hello'])
    paths.push(...(await built(demo, ['hello', 'cacert', 'iana-etc'], 'aarch64-linux')))
    await makeCache(join(root, 'demo'), paths, { compression: 'zstd', secret: key.secret })
    const names = ['hello', 'shell/jq', 'arm64/hello']
    const fromStore = await made(demo, names, {})
    const fromCache = await made(demo, names, caches(`${nginx.url}/demo`))
    assert.deepEqual(fromCache.digests, fromStore.digests)
    assert.deepEqual(origins(fromCache.events), ['caches', 'caches', 'caches'])
  })

  it('need no path in the store, whatever compresses them; what is known is not asked for again', async () => {
    const paths = await built(small, ['odd', 'apart'])
    const { stdout } = await nix('nix-store', ['--query', '--requisites', ...paths])
    const fromStore = await made(small, ['odd', 'apart'], {})
    ofApart = fromStore.digests[1] ?? assert.fail()
    for (const compression of ['xz', 'zstd', 'none'] as const)
      await makeCache(join(root, compression), paths, { compression, secret: key.secret })
    await removed(stdout.split('\n'))
    const addresses = [`${nginx.url}/xz`, `${nginx.url}/zstd`, `file://${root}/none`]
    for (const address of addresses) {
      const { digests, events, data } = await made(small, ['odd', 'apart'], caches(address))
      assert.deepEqual(digests, fromStore.digests)
      const downloaded = events.flatMap((event) => (event.type === 'downloaded' ? [event.path] : []))
      assert.equal(downloaded.length, 4, 'what two images share comes once')
      // Another image of known packages: their listings are kept, so nothing is read.
      const again = await made(small, ['odd/apart'], { ...caches(address) }, data)
      assert.ok(again.events.every(({ type }) => type !== 'downloaded'))
    }
    assert.ok(paths.every((path) => !existsSync(path)))
  })

  it('in auto come from the store where they are there, else from a cache, else from Nix', async () => {
    const first = await made(small, ['odd', 'lonely'], auto(`${nginx.url}/xz`))
    assert.deepEqual(origins(first.events), ['caches', 'nix'])
    const second = await made(small, ['lonely'], auto(`${nginx.url}/xz`))
    assert.deepEqual(origins(second.events), ['nix'])
  })

  it('are refused in words where no cache has them', async () => {
    await assert.rejects(made(small, ['lonely'], caches(`${nginx.url}/xz`)), (error) => {
      assert.ok(hasCode(error, 'BUILD_FAILED'))
      assert.match(
        error.message,
        /\/nix\/store\/\w{32}-lonely is in no binary cache:\n.*127.0.0.1.*does not have it/,
      )
      return true
    })
  })

  /** A cache that gives what the folder has, or something else for what a pattern matches. */
  async function liar(
    pattern: RegExp,
    lie: (honest: Buffer, nth: number, range: string | undefined) => Reply | Promise<Reply>,
  ) {
    const server = await openServer(async (path, nth, { range }) => {
      const honest = await readFile(join(root, 'zstd', path)).catch(() => undefined)
      if (!honest) return { status: 404 }
      return pattern.test(path) ? lie(honest, nth, range) : { body: honest }
    })
    servers.push(server)
    return server.url
  }
  const flipped = (honest: Buffer): Reply => {
    const bytes = Buffer.from(honest)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    return { body: bytes }
  }
  const changed =
    (from: RegExp, to: string) =>
    (honest: Buffer): Reply => ({ body: honest.toString().replace(from, to) })
  const narinfo = /narinfo$/
  const lies: [what: string, pattern: RegExp, lie: Parameters<typeof liar>[1], told: RegExp][] = [
    ['changes a byte of a NAR', /nar\//, flipped, /does not give \/nix\/store\//],
    [
      'cuts NARs',
      /nar\//,
      (honest) => ({ body: honest.subarray(0, honest.length / 2) }),
      /smaller than its narinfo/,
    ],
    ['answers with a page', /nar\//, () => ({ body: '<html>Sign in</html>' }), /does not give/],
    [
      'has another key',
      narinfo,
      changed(/^Sig: test-1/m, 'Sig: other-1'),
      /other-1, which is not a trusted key/,
    ],
    ['hangs', narinfo, () => new Promise(() => {}), /nothing came/],
  ]
  it('come from another cache when one lies or fails', async () => {
    for (const [what, pattern, lie, told] of lies) {
      const url = await liar(pattern, lie)
      const { events, digests } = await made(small, ['apart'], caches(`${url}?priority=1 ${nginx.url}/zstd`))
      assert.deepEqual(digests, [ofApart], what)
      const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
      // That a narinfo counts for nothing is ordinary; it is told where no cache has another.
      if (!/Sig|sign|key/.test(told.source)) assert.match(warnings.join('\n'), told, what)
    }
  })

  for (const [what, pattern, lie, told] of lies.slice(0, 2)) {
    it(`are refused when the only cache ${what}, and nothing wrong is kept`, async () => {
      const { worker, data } = await open(small, caches(await liar(pattern, lie)))
      try {
        await assert.rejects(digestOf(worker, 'apart'), (error) => {
          assert.ok(hasCode(error, 'BUILD_FAILED'))
          assert.match(error.message, told)
          assert.match(error.message, /\/nix\/store\/\w{32}-(apart|lib|other)/)
          return true
        })
      } finally {
        await worker.close()
      }
      const later = await made(small, ['apart'], caches(`${nginx.url}/zstd`), data)
      assert.deepEqual(later.digests, [ofApart])
    })
  }

  it('come although every connection breaks', async () => {
    const url = await liar(/nar\//, (honest, nth, range) => {
      const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
      const rest = honest.subarray(start)
      const headers = {
        'Accept-Ranges': 'bytes',
        'Content-Range': `bytes ${start}-${honest.length - 1}/${honest.length}`,
      }
      return { status: start > 0 ? 206 : 200, headers, body: rest, cut: rest.length > 100 && nth < 20 }
    })
    const { digests } = await made(small, ['apart'], caches(url))
    assert.deepEqual(digests, [ofApart])
  })

  it('are left to Nix in auto when caches fail, and that is told', async () => {
    const url = await liar(/nar\//, flipped)
    const { events } = await made(small, ['apart'], auto(url))
    assert.equal(origins(events).at(-1), 'nix')
    const warned = events.flatMap((event) =>
      event.type === 'warning' && event.cache !== undefined ? [event.message] : [],
    )
    assert.match(warned.join('\n'), /the binary cache http.* fails: .*does not give/)
  })

  it('are served, with numbers for each cache, and reasons for who pulls', async () => {
    const server = await workspace.serve({
      NIXERY_PKGS_PATH: small,
      NIXERY_TRUSTED_KEYS: key.text,
      ...caches(`${nginx.url}/xz`),
    })
    const pull = (name: string) => fetch(`http://${server.address}/v2/${name}/manifests/latest`)
    assert.equal((await pull('odd')).status, 200)
    const metrics = await fetch(`http://${server.address}/metrics`).then((answer) => answer.text())
    assert.match(metrics, new RegExp(`nixery_cache_hits_total\\{cache="${nginx.url}/xz"\\} 3`))
    assert.match(metrics, /nixery_cache_received_bytes_total\{cache="[^"]*"\} \d{6}/)
    const refused = await pull('lonely')
    assert.equal(refused.ok, false)
    assert.match(await refused.text(), /\/nix\/store\/\w{32}-lonely is in no binary cache/)
  })
})
