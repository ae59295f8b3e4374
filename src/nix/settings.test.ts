import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { after, before, beforeEach, describe, it } from 'node:test'
import { hasCode, NixeryError } from '../errors.ts'
import { environmentFor } from './environment.ts'
import { nixSettings } from './settings.ts'

const before_ = { ...process.env }
let folder: string
let notes: string[]
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-settings-'))
  process.env['PATH'] = `${folder}:${before_['PATH']}`
})
beforeEach(() => {
  notes = []
  for (const name of ['NIX_CONFIG', 'http_proxy', 'https_proxy', 'HTTPS_PROXY', 'ALL_PROXY'])
    delete process.env[name]
})
after(async () => {
  process.env = before_
  await rm(folder, { recursive: true })
})

// As on a Debian machine without a network, except for the group.
const debian = {
  'build-users-group': '',
  'sandbox-paths': [],
  sandbox: true,
  store: 'auto',
  substitute: true,
  substituters: ['http://127.0.0.1:9/'],
}

/** Puts a program `nix` on PATH that has this configuration. */
async function nixWith(configuration: Record<string, unknown>, script = 'cat "$0.json"'): Promise<void> {
  const wrapped = Object.entries(configuration).map(([name, value]) => [name, { value }])
  await writeFile(join(folder, 'nix.json'), JSON.stringify(Object.fromEntries(wrapped)))
  await writeFile(join(folder, 'nix'), `#!/bin/sh\n${script}\n`)
  await chmod(join(folder, 'nix'), 0o755)
}

const settings = async (): Promise<string[]> => [...(await settingsWith((line) => notes.push(line))()).lines]
const settingsWith = (note: (line: string) => void) =>
  nixSettings(() => environmentFor('realise', process.env, { home: folder }), note)

describe('nixSettings', () => {
  it('adds the settings that builds need, and reports them', async () => {
    await nixWith({ ...debian, 'build-users-group': 'no-such-group' })
    const [group, paths, ...rest] = await settings()
    assert.equal(group, process.getuid?.() === 0 ? 'build-users-group =' : paths)
    assert.match(paths ?? '', /^sandbox-paths = \/bin \/usr /)
    assert.deepEqual(rest, ['substitute = false'])
    assert.deepEqual(
      notes.map((line) => line.replace(/:.*/, '')),
      [
        'there is no group no-such-group',
        "this Nix's sandbox has no /bin/sh",
        'no binary cache can be reached',
      ],
    )
  })

  it('reports each setting once', async () => {
    await nixWith(debian)
    const get = settingsWith((line) => notes.push(line))
    assert.deepEqual(await get(), await get())
    assert.equal(notes.length, 2)
  })

  it('adds nothing if nothing is needed', async () => {
    await nixWith({
      'build-users-group': 'root',
      'sandbox-paths': ['/bin/sh=/nix/store/busybox'],
      sandbox: true,
      substituters: [],
    })
    assert.deepEqual((await settingsWith(assert.fail)()).lines, [])
  })

  it('reads sandbox paths as any version of Nix prints them', async () => {
    const table: [value: unknown, sandbox: unknown, set: boolean][] = [
      [[], true, true],
      [{}, true, true],
      [[], 'relaxed', true],
      [[], false, false],
      [['/bin/sh=/usr/bin/bash-static'], true, false],
      [{ '/bin/sh': { optional: false, source: '/usr/bin/bash-static' } }, true, false],
      [undefined, true, false],
    ]
    for (const [value, sandbox, set] of table) {
      await nixWith({ ...debian, 'sandbox-paths': value, sandbox, substitute: false })
      assert.equal(
        (await settings()).some((line) => line.startsWith('sandbox-paths')),
        set,
      )
    }
  })

  it('does not change the configuration of a daemon', async () => {
    const cache = 'substitute = false'
    const table: [store: string, set: string[]][] = [
      ['local', ['sandbox-paths', cache]],
      ['/mnt', ['sandbox-paths', cache]],
      ['daemon', [cache]],
      ['unix:///run/nix.sock', [cache]],
      ['ssh-ng://host', []],
    ]
    for (const [store, set] of table) {
      await nixWith({ ...debian, store })
      const lines = (await settings()).filter((line) => line !== '')
      assert.deepEqual(
        lines.map((line) => line.replace(/^(sandbox-paths).*/, '$1')),
        set,
        store,
      )
    }
  })

  it('allows Nix to use binary caches if one is reachable', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address)
    const reachable = `http://127.0.0.1:${address.port}/cache?priority=3`
    const unreachable = ['http://127.0.0.1:9/', 'https://[::1]:9', 'https://cache.invalid']
    const table: [substituters: string[], reached: boolean][] = [
      [[reachable], true],
      [[...unreachable, reachable], true],
      [['file:///var/cache'], true],
      [['s3://bucket'], true],
      [[], true],
      [unreachable, false],
    ]
    for (const [substituters, reached] of table) {
      await nixWith({ ...debian, substituters })
      assert.equal(!(await settings()).includes('substitute = false'), reached, substituters.join())
    }
    server.close()
  })

  it('treats a cache behind a proxy as reachable', async () => {
    await nixWith(debian)
    for (const name of ['http_proxy', 'HTTPS_PROXY', 'ALL_PROXY']) {
      process.env[name] = 'http://proxy.invalid:3128'
      assert.ok(!(await settings()).includes('substitute = false'), name)
      process.env[name] = ''
      assert.ok((await settings()).includes('substitute = false'), name)
    }
  })

  it('waits for the network only briefly at first, and never after the first check', async () => {
    await nixWith(debian)
    const looks: ((reached: boolean) => void)[] = []
    const canReach = () => new Promise<boolean>((resolve) => looks.push(resolve))
    const environment = () => environmentFor('realise', process.env, { home: folder })
    const get = nixSettings(environment, () => {}, { canReach, interval: 0 })
    const isOff = async () => (await get()).lines.includes('substitute = false')
    // There is no response yet.
    assert.equal(await isOff(), false)
    looks.shift()?.(false)
    await setImmediate()
    // While the next check runs, the previous result is returned.
    assert.equal(await isOff(), true)
    assert.equal(await isOff(), true)
    assert.equal(looks.length, 1)
    looks.shift()?.(true)
    await setImmediate()
    assert.equal(await isOff(), false)
  })

  it('supports the commands of older versions', async () => {
    const old = `case $* in *show-config*) cat "$0.json" ;; *) echo "error: 'config' is not a recognised command" >&2; exit 1 ;; esac`
    await nixWith(debian, old)
    assert.ok((await settings()).includes('substitute = false'))
  })

  it('reports a broken configuration, and notices that it was repaired', async () => {
    await nixWith(debian, `echo "error: syntax error in configuration line 'x' in 'nix.conf'" >&2; exit 1`)
    const get = settingsWith(() => {})
    await assert.rejects(get, (error) => {
      assert.ok(error instanceof NixeryError && hasCode(error, 'NIX_UNAVAILABLE'))
      assert.match(error.message, /syntax error in configuration line/)
      return true
    })
    await nixWith(debian)
    assert.ok((await get()).lines.includes('substitute = false'))
  })
})
