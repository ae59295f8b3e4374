import assert from 'node:assert/strict'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../scripts/server.ts'
import { makeKey, nix } from './support/binary-cache.ts'
import { until } from './support/until.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'

// How often to kill a server during an upload: a fast one may have finished before it is killed.
const attempts = 8

// Every build of a package results in different bytes.
const body = `
  noise = name: size: more: run name "mkdir $out; head -c \${toString size} /dev/urandom > $out/noise; echo \${more} > $out/text";
  lib = noise "lib" 100000 "";
  one = noise "one" 10 lib;
  two = noise "two" 10 lib;
  ${Array.from(
    { length: attempts },
    (_, n) => `small${n} = noise "small${n}" 10 ""; large${n} = noise "large${n}" 20000000 small${n};`,
  ).join('\n')}
  other = noise "other" 10 "";
`

type Manifest = { readonly layers: readonly { readonly digest: string }[] }

const skip = process.getuid?.() === 0 ? false : 'a separate Nix store for each server needs root'

describe('servers that share nothing but a binary cache', { skip, timeout: 900_000 }, () => {
  let workspace: Workspace
  let cache: string
  let key: { readonly secret: string; readonly text: string }
  let settings: Record<string, string>
  let first: ServerProcess
  let second: ServerProcess

  before(async () => {
    workspace = await openWorkspace()
    cache = join(workspace.folder, 'cache')
    key = await makeKey(workspace.folder, 'test-1')
    settings = {
      NIXERY_PKGS_PATH: await workspace.packageSet(body),
      NIXERY_SHARED_CACHE: `file://${cache}`,
      NIXERY_SHARED_CACHE_KEY: key.secret,
      NIXERY_SEARCH: 'off',
    }
    ;[first, second] = await Promise.all([start(), start()])
  })
  after(() => workspace?.dispose())

  /** Starts a server with a separate, empty Nix store. */
  const start = () =>
    workspace.serve(settings, [
      'unshare',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none /nix && exec "$0" "$@"',
    ])
  /** The digests of an image's layers. */
  const layersOf = async (server: ServerProcess, name: string): Promise<string[]> => {
    const { response, text, json } = await requestV2(server, `${name}/manifests/latest`)
    assert.equal(response.status, 200, text)
    return (json as Manifest).layers.map(({ digest }) => digest)
  }
  const narinfos = async (): Promise<Map<string, string>> => {
    const texts = new Map<string, string>()
    for (const file of await readdir(cache)) {
      if (!file.endsWith('.narinfo')) continue
      const text = await readFile(join(cache, file), 'utf8')
      texts.set(/^StorePath: \S+-(\S+)$/m.exec(text)?.[1] ?? '', text)
    }
    return texts
  }

  it('build equal images although they build the same paths concurrently, with different bytes', async () => {
    const [one, other] = await Promise.all([layersOf(first, 'one'), layersOf(second, 'one')])
    assert.deepEqual(one, other)
    // Images refer to the `lib` that was uploaded first, not to that of the local store.
    for (const server of [first, second]) {
      const two = await layersOf(server, 'two')
      assert.equal(two.filter((digest) => one.includes(digest)).length, 1)
    }
    assert.deepEqual([...(await narinfos()).keys()].sort(), ['lib', 'one', 'two'])
  })

  it('fill a cache that Nix reads, with signatures that it trusts', async () => {
    const text = (await narinfos()).get('one') ?? ''
    const path = /^StorePath: (\S+)$/m.exec(text)?.[1] ?? ''
    assert.match(text, /^Compression: zstd$/m)
    const command = ['--extra-experimental-features', 'nix-command']
    const store = `file://${cache}`
    const info = ['path-info', '--store', store, '--recursive', '--sigs', path]
    const { stdout } = await nix('nix', [...command, ...info])
    assert.deepEqual(
      stdout.split('\n').map((line) => /-(\w+)\s+(test-1):/.exec(line)?.slice(1)),
      [
        ['lib', 'test-1'],
        ['one', 'test-1'],
      ],
    )
    const copy = async (root: string, trusted: string) => {
      const to = ['--option', 'trusted-public-keys', trusted, 'copy', '--from', store, '--to', root, path]
      await nix('nix', [...command, ...to])
      return readFile(join(root, path, 'text'), 'utf8')
    }
    assert.match(await copy(join(workspace.folder, 'root'), key.text), /-lib$/m)
    const other = await makeKey(workspace.folder, 'test-2')
    await assert.rejects(copy(join(workspace.folder, 'empty'), other.text), /lacks a valid signature/)
  })

  it('build no images while the cache fails, but serve known ones', async () => {
    const nar = join(cache, 'nar')
    await rename(nar, `${nar}.away`)
    await writeFile(nar, '')
    const { status, message } = await failureOf(first, 'other')
    assert.equal(status, 503)
    assert.match(message, /the shared binary cache failed \(storing a file: E/)
    await layersOf(first, 'one')
    assert.equal((await narinfos()).has('other'), false)
    await rm(nar)
    await rename(`${nar}.away`, nar)
    assert.deepEqual(await layersOf(second, 'other'), await layersOf(first, 'other'))
  })

  it('leave a consistent cache if they are killed during uploads', async () => {
    for (let n = 0; n < attempts; n += 1) {
      const pulled = layersOf(first, `large${n}`).catch(() => 'killed')
      await until(async () => (await narinfos()).has(`small${n}`), 'the small path is uploaded')
      await first.stop('SIGKILL')
      const isKilled = (await pulled) === 'killed'
      const small = (await narinfos()).get(`small${n}`)
      first = await start()
      assert.deepEqual(await layersOf(first, `large${n}`), await layersOf(second, `large${n}`))
      assert.equal((await narinfos()).get(`small${n}`), small)
      if (isKilled) return
    }
    assert.fail('every image was finished before the server was killed')
  })
})
