import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { basic } from '../src/contents/cache/address.ts'
import { hasCode } from '../src/errors.ts'
import { makeCache, nix } from './support/binary-cache.ts'
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
import { commandsIn, documents } from './support/documents.ts'
import { until } from './support/until.ts'
import type { Failure } from './support/workspace.ts'

let images: CacheImages
let paths: string[]
/** The digest of `apart`, built from the store. */
let ofApart: string
const servers: Server[] = []
const config = process.env['NIX_CONFIG']
before(async () => {
  images = await openCacheImages()
  paths = await buildPackages(images.set, ['apart', 'odd'])
  await makeCache(join(images.root, 'zstd'), paths, { compression: 'zstd', secret: images.key.secret })
  await makeCache(join(images.root, 'unsigned'), paths, { compression: 'none' })
  const { digests } = await images.build(['apart'], {})
  ofApart = digests[0] ?? assert.fail()
})
after(async () => {
  process.env['NIX_CONFIG'] = config ?? ''
  for (const server of servers) server.close()
  await images.dispose()
})

/** A cache like an S3 bucket: below a path, and 403 with XML for missing files. `intercept` can replace a response. */
async function bucket(
  folder: string,
  host: string,
  intercept: (
    path: string,
    headers: IncomingHttpHeaders,
  ) => { status: number; location?: string } | undefined,
) {
  const requests: { path: string; authorization: string | undefined }[] = []
  let open = 0
  let mostOpen = 0
  const server = createServer((request, response) => {
    open += 1
    mostOpen = Math.max(mostOpen, open)
    response.on('close', () => (open -= 1))
    const path = (request.url ?? '').replace('/bucket/', '')
    requests.push({ path, authorization: request.headers.authorization })
    const replacement = intercept(path, request.headers)
    const respond = async () => {
      await sleep(5) // so that concurrent requests overlap
      const file = replacement
        ? undefined
        : await readFile(join(images.root, folder, path)).catch(() => undefined)
      if (replacement)
        response.writeHead(
          replacement.status,
          replacement.location === undefined ? {} : { Location: replacement.location },
        )
      else if (!file) response.writeHead(403, { 'Content-Type': 'application/xml' })
      response.end(file ?? '<Error><Code>AccessDenied</Code></Error>')
    }
    void respond()
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://${host}:${port}/bucket`, requests, mostOpen: () => mostOpen }
}

describe('caches that require credentials, and incomplete ones', () => {
  it('get their own credentials, also after a redirect, on few connections, in order of priority', async () => {
    const { root, workspace } = images
    const netrc = join(workspace.folder, 'netrc')
    await writeFile(
      netrc,
      'machine 127.0.0.1 login me password mine\nmachine 127.0.0.2 login you password yours\n',
    )
    const [mine, yours] = [basic('me', 'mine'), basic('you', 'yours')]
    const refuses = (secret: string, { authorization }: IncomingHttpHeaders) =>
      authorization === secret ? undefined : { status: 401 }
    const second = await bucket('zstd', '127.0.0.2', (_path, headers) => refuses(yours, headers))
    const names = (await readdir(join(root, 'zstd'))).filter((name) => name.endsWith('.narinfo'))
    const texts = await Promise.all(names.map((name) => readFile(join(root, 'zstd', name), 'utf8')))
    const ofLib = names[texts.findIndex((text) => /^StorePath: .*-lib$/m.test(text))]
    const first = await bucket('zstd', '127.0.0.1', (path, headers) => {
      if (path === ofLib) return { status: 403 }
      const isNar = path.startsWith('nar/')
      return (
        refuses(mine, headers) ?? (isNar ? { status: 307, location: `${second.url}/${path}` } : undefined)
      )
    })
    process.env['NIX_CONFIG'] = `netrc-file = ${netrc}\n${config ?? ''}`
    const settings = {
      ...caches(`file://${root}/unsigned?trusted=1&priority=99 ${first.url}?priority=1`),
      NIXERY_CACHE_CONNECTIONS: '1',
    }
    const { digests, events } = await images.build(['apart'], settings)
    assert.deepEqual(digests, [ofApart])
    assert.deepEqual([...new Set(first.requests.map(({ authorization }) => authorization))], [mine])
    assert.deepEqual([...new Set(second.requests.map(({ authorization }) => authorization))], [yours])
    assert.equal(second.requests.length, 2)
    assert.equal(first.mostOpen(), 1)
    const downloaded = events.flatMap((event) =>
      event.type === 'downloaded' ? [event.cache.split('/')[2] ?? ''] : [],
    )
    assert.deepEqual(
      downloaded.toSorted((a, b) => a.length - b.length),
      ['', new URL(first.url).host, new URL(first.url).host],
    )
  })

  it('leave unsigned content-addressed paths, and rare compressions, to Nix', async () => {
    const { root, workspace, key } = images
    const set = await workspace.packageSet(`
      addressed = run "addressed" "echo \${./default.nix} > $out"; rare = run "rare" "echo > $out";`)
    const [addressed = '', rare = ''] = await buildPackages(set, ['addressed', 'rare'])
    const folder = join(root, 'partly')
    await makeCache(folder, [addressed], { compression: 'none', secret: key.secret })
    await makeCache(folder, [rare], { compression: 'bzip2', secret: key.secret })
    for (const name of await readdir(folder)) {
      const text = name.endsWith('.narinfo') ? await readFile(join(folder, name), 'utf8') : ''
      if (/^CA: /m.test(text)) await writeFile(join(folder, name), text.replace(/^Sig: .*\n/m, ''))
    }
    const ofSet = { NIXERY_PKGS_PATH: set }
    const { worker } = await images.open({ ...ofSet, ...caches(`file://${folder}`) })
    for (const [name, expected] of [
      ['addressed', /-default.nix is in no binary cache:\n.* without a signature, as content-addressed/],
      ['rare', /-rare is in no binary cache:\n.* compressed by bzip2/],
    ] as const) {
      await assert.rejects(digestOf(worker, name), (error) => {
        assert.ok(hasCode(error, 'BUILD_FAILED'))
        assert.match(error.message, expected)
        return true
      })
    }
    await worker.close()
    await deletePaths([addressed, rare])
    const { events } = await images.build(['addressed', 'rare'], { ...ofSet, ...auto(`file://${folder}`) })
    assert.deepEqual(origins(events), ['nix', 'nix'])
  })

  it('are replaced by the next cache, and then by Nix for the whole image, when they fail midway', async () => {
    await deletePaths(paths.filter((path) => path.endsWith('-apart')))
    let sent = 0
    const interrupted = await images.faultyCache(/nar\//, (original) => ({
      body: original,
      cut: (sent += 1) > 1,
    }))
    const incomplete = await images.faultyCache(/nar\//, () => ({ status: 404 }))
    const { digests, events } = await images.build(
      ['apart'],
      auto(`${interrupted}?priority=1 ${incomplete}?priority=2`),
    )
    await images.closeFaultyCaches()
    assert.deepEqual(digests, [ofApart])
    const attempts = origins(events)
    assert.deepEqual([attempts[0], attempts.at(-1)], ['caches', 'nix'])
    const warnings = events.flatMap((event) =>
      event.type === 'warning' && event.cache !== undefined ? [event.message] : [],
    )
    for (const url of [interrupted, incomplete])
      assert.match(
        warnings.join('\n'),
        new RegExp(`^the binary cache ${url} did not deliver /nix/store/`, 'm'),
      )
    assert.ok(sent > 1)
  })
})

describe('the guide to images from a binary cache', () => {
  it('works, command by command', async () => {
    const { workspace } = images
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi"; other = script "other" "echo other";`)
    const folder = join(workspace.folder, 'guide')
    await mkdir(folder)
    const commands = commandsIn(documents().get('docs/from-a-cache.md') ?? '')
    const [key = '', build = '', copy = '', serve = ''] = commands.map((command) =>
      command.replace('/path/to/my-packages', set),
    )
    for (const command of [key, build, copy]) await nix('bash', ['-euc', `cd ${folder}; ${command}`])
    await deletePaths([(await readFile(join(folder, 'paths'), 'utf8')).trim()])
    const bin = join(folder, 'bin')
    await mkdir(bin)
    // A fake `nixery` prints the environment that the command sets, for the server below.
    await writeFile(join(bin, 'nixery'), '#!/bin/sh\nexec env\n', { mode: 0o755 })
    const { stdout } = await execa('bash', ['-euc', serve], {
      cwd: folder,
      extendEnv: false,
      env: { PATH: `${bin}:/usr/bin:/bin` },
    })
    const settings = stdout.split('\n').filter((line) => line.startsWith('NIXERY_'))
    const server = await workspace.serve(
      Object.fromEntries(
        settings.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      ),
    )
    const pull = async (name: string) => {
      const response = await fetch(`http://${server.address}/v2/${name}/manifests/latest`)
      const text = await response.text()
      return {
        status: response.status,
        message: (JSON.parse(text) as Partial<Failure>).errors?.[0]?.message ?? '',
      }
    }
    const pulled = await pull('hello')
    assert.equal(pulled.status, 200, pulled.message)
    for (const line of ['evaluation writes nothing to the Nix store', 'path downloaded', 'build finished'])
      await until(() => server.log.some(({ msg }) => msg.startsWith(line)), line)
    const refused = await pull('other')
    assert.match(refused.message, /-other is in no binary cache:\n {2}file:\/\/… does not have it/)
    await server.stop()
  })
})
