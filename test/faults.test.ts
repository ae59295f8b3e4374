import assert from 'node:assert/strict'
import { readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { digestOf } from '../src/image/digest.ts'
import type { ServerProcess } from '../scripts/server.ts'
import { makeReadOnly, makeWritable } from './support/disk.ts'
import { logOf } from './support/log.ts'
import { requestV2, failureOf, openWorkspace, type Workspace } from './support/workspace.ts'
import { until } from './support/until.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const layersOf = async (server: ServerProcess, name: string) => {
  const { json } = await requestV2(server, `${name}/manifests/latest`)
  return (json as { layers: { digest: string; size: number }[] }).layers
}
const hexOf = (digest: string) => digest.slice('sha256:'.length)

describe('a package set', () => {
  const serveHello = async () => {
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    return { set, server: await workspace.serve({ NIXERY_PKGS_PATH: set, NIXERY_PATH_STALE: '0' }) }
  }
  it('that is missing, broken, or not a function is reported to the client, and recovers', async () => {
    const { server, set } = await serveHello()
    const file = join(set, 'default.nix')
    const good = await readFile(file, 'utf8')
    const broken: [content: string | undefined, message: RegExp][] = [
      [undefined, /default\.nix cannot be read/],
      ['{ system, ... }: {', /does not evaluate[^]*syntax error/],
      ['{ hello = 1; }', /must be a function/],
      ['{ system, ... }: throw "out of order"', /out of order/],
      ['{ system, ... }: 5', /must give an attribute set/],
    ]
    for (const [content, message] of broken) {
      if (content === undefined) await rename(file, `${file}.away`)
      else await writeFile(file, content)
      const failure = await failureOf(server, 'hello')
      assert.equal(failure.status, 422)
      assert.match(failure.message, message)
    }
    await writeFile(file, good)
    assert.equal((await requestV2(server, 'hello/manifests/latest')).response.status, 200)
  })

  it('that changes provides the new packages without a restart', async () => {
    const { server, set } = await serveHello()
    const old = await requestV2(server, 'hello/manifests/latest')
    const file = join(set, 'default.nix')
    await writeFile(file, (await readFile(file, 'utf8')).replace('echo hi', 'echo ho'))
    const changed = await requestV2(server, 'hello/manifests/latest')
    assert.equal(changed.response.status, 200)
    assert.notEqual(changed.text, old.text)
  })

  it('without certificates still serves images, and reports it in the log', async () => {
    const { server } = await serveHello()
    assert.equal((await requestV2(server, 'hello/manifests/latest')).response.status, 200)
    assert.ok((await logOf(server)).some(({ msg }) => msg.includes('cacert')))
  })
})

describe('a package', () => {
  it('that is not available is reported with the reason', async () => {
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi";
      function = x: x;
      nested = { inherit hello; };
      throwing = throw "this one is forbidden";
      aborting = abort "no way";
      looping = let x = x; in x;
      mistyped = derivation { name = 1; };
      failing = run "failing" "echo last words; exit 3";
      needs-failing = run "needs-failing" "echo \${failing} > $out";
      slow = run "slow" "sleep 60; echo > $out";
    `)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set })
    // The time limit is for all builders, and on a busy machine it is short for the others.
    const impatient = await workspace.serve({ NIXERY_PKGS_PATH: set, NIX_TIMEOUT: '2' })
    const rows: [name: string, message: RegExp][] = [
      ['function', /function: is a function, not a package/],
      ['nested', /nested: is a set of packages/],
      ['throwing', /throwing: does not evaluate[^]*this one is forbidden/],
      ['aborting', /aborting: does not evaluate[^]*no way/],
      ['looping', /looping: does not evaluate[^]*infinite recursion/],
      ['mistyped', /mistyped: does not evaluate/],
      ['hello/throwing', /throwing: does not evaluate/],
      ['failing', /could not be built[^]*exit code 3[^]*last words/],
      ['needs-failing', /could not be built[^]*last words/],
      ['slow', /more than 2 s/],
    ]
    for (const [name, message] of rows) {
      const failure = await failureOf(name === 'slow' ? impatient : server, name)
      assert.equal(failure.status, 422, name)
      assert.equal(failure.code, 'MANIFEST_UNKNOWN', name)
      assert.match(failure.message, message)
    }
    for (const name of ['hello', 'nested.hello']) {
      assert.equal((await requestV2(server, `${name}/manifests/latest`)).response.status, 200)
    }
  })

  it('whose builder prints control characters passes them to neither clients nor the log', async () => {
    const set = await workspace.packageSet(String.raw`
      rude = run "rude" "printf '\\033[31mred\\007\\033]0;title\\007<b>bold</b>\\n'; exit 1";
    `)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set })
    const { text } = await requestV2(server, 'rude/manifests/latest')
    // JSON escapes control characters.
    assert.doesNotMatch(text + JSON.stringify(await logOf(server)), /\\u00(1b|07|9b)/i)
  })
})

describe('the store', () => {
  const program =
    'big = run "big" "mkdir -p $out/bin; head -c 8000000 /dev/urandom > $out/bin/big";\n' +
    'small = script "small" "echo hi";'

  it('that is full fails the pull, keeps nothing incomplete, and works again when there is space', async () => {
    const disk = await workspace.mountSmallDisk(4)
    const set = await workspace.packageSet(program)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, STORAGE_PATH: join(disk, 'store') })
    const failure = await failureOf(server, 'big')
    assert.equal(failure.status, 507)
    assert.match(failure.message, /storage is full/)
    // The packing of other layers of the image may still be cleaning up.
    await until(async () => (await readdir(join(disk, 'store', 'staging'))).length === 0, 'no file is left')
    for (const name of await readdir(join(disk, 'store', 'layers'))) {
      assert.equal(digestOf(await readFile(join(disk, 'store', 'layers', name))), `sha256:${name}`)
    }
    assert.equal((await requestV2(server, 'small/manifests/latest')).response.status, 200)
    await execa('mount', ['-o', 'remount,size=64m', disk])
    assert.equal((await requestV2(server, 'big/manifests/latest')).response.status, 200)
  })

  it('that is not writable fails the pull with 503', async () => {
    const disk = await workspace.mountSmallDisk(16)
    const set = await workspace.packageSet(program)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, STORAGE_PATH: join(disk, 'store') })
    await makeReadOnly(disk)
    const failure = await failureOf(server, 'small')
    assert.equal(failure.status, 503)
    assert.match(failure.message, /storage failed/)
    await makeWritable(disk)
    assert.equal((await requestV2(server, 'small/manifests/latest')).response.status, 200)
  })

  it('never serves a missing or truncated blob, and recreates it', async () => {
    const store = join(workspace.folder, 'damaged')
    const set = await workspace.packageSet(program)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, STORAGE_PATH: store })
    const original = await requestV2(server, 'big/manifests/latest')
    const [layer] = (await layersOf(server, 'big')).toSorted((a, b) => b.size - a.size)
    assert.ok(layer)
    const file = join(store, 'layers', hexOf(layer.digest))
    const damages: (() => Promise<void>)[] = [
      () => rm(file),
      () => truncate(file, layer.size - 1),
      () => truncate(file, 0),
    ]
    for (const damage of damages) {
      await damage()
      const missing = await requestV2(server, `big/blobs/${layer.digest}`)
      assert.equal(missing.response.status, 404)
      const recreated = await requestV2(server, 'big/manifests/latest')
      assert.equal(recreated.text, original.text)
      const bytes: Buffer = Buffer.from(
        await (await fetch(`http://${server.address}/v2/big/blobs/${layer.digest}`)).arrayBuffer(),
      )
      assert.equal(digestOf(bytes), layer.digest)
    }
  })

  it('never serves a damaged blob if the catalog is lost', async () => {
    const store = join(workspace.folder, 'rotten')
    const set = await workspace.packageSet(program)
    const first = await workspace.serve({ NIXERY_PKGS_PATH: set, STORAGE_PATH: store })
    const [layer] = (await layersOf(first, 'big')).toSorted((a, b) => b.size - a.size)
    assert.ok(layer)
    await first.stop()
    const file = join(store, 'layers', hexOf(layer.digest))
    const bytes = await readFile(file)
    bytes[1000] = (bytes[1000] ?? 0) ^ 1
    await writeFile(file, bytes)
    const second = await workspace.serve({ NIXERY_PKGS_PATH: set, STORAGE_PATH: store })
    assert.equal((await requestV2(second, `big/blobs/${layer.digest}`)).response.status, 404)
    assert.deepEqual(await layersOf(second, 'big'), await layersOf(second, 'big'))
    assert.equal(
      (await requestV2(second, `big/blobs/${layer.digest}`, { method: 'HEAD' })).response.status,
      200,
    )
  })
})
