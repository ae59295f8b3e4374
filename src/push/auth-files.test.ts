import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { findCredentials } from './auth-files.ts'

const auth = (name: string) => ({ auth: Buffer.from(`${name}:secret of ${name}`).toString('base64') })
const password = (username: string) => ({ kind: 'password', username, password: `secret of ${username}` })

describe('credentials', () => {
  let home: string
  let environment: Record<string, string>
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'nixery-credentials-'))
    environment = { HOME: home, XDG_RUNTIME_DIR: join(home, 'run') }
  })
  after(() => rm(home, { recursive: true }))
  const put = async (path: string, content: unknown) => {
    await mkdir(dirname(join(home, path)), { recursive: true })
    await writeFile(join(home, path), typeof content === 'string' ? content : JSON.stringify(content))
    return join(home, path)
  }
  const find = (host: string, repository: string, more = {}) =>
    findCredentials(host, repository, { ...environment, ...more })

  it('do not exist without a login', async () => {
    assert.equal(await find('a.example', 'b'), undefined)
  })

  it('are those with the longest prefix', async () => {
    const file = await put('longest', {
      auths: {
        'a.example': auth('host'),
        'a.example/team': auth('team'),
        'a.example/team/tools': auth('tools'),
        'a.example:5000': auth('port'),
      },
    })
    const rows: [host: string, repository: string, name: string | undefined][] = [
      ['a.example', 'team/tools', 'tools'],
      ['a.example', 'team/tools/x', 'tools'],
      ['a.example', 'team/toolsx', 'team'],
      ['a.example', 'teamx/tools', 'host'],
      ['a.example:5000', 'team', 'port'],
      ['b.a.example', 'team', undefined],
    ]
    for (const [host, repository, name] of rows) {
      const found = await find(host, repository, { REGISTRY_AUTH_FILE: file })
      assert.deepEqual(found, name === undefined ? undefined : password(name), `${host}/${repository}`)
    }
  })

  it('are looked up in Podman’s files before Docker’s', async () => {
    const paths = ['.docker/config.json', '.config/containers/auth.json', 'run/containers/auth.json']
    for (const [index, path] of paths.entries()) {
      await put(path, { auths: { 'order.example': auth(`n${index}`) } })
      assert.deepEqual(await find('order.example', 'x'), password(`n${index}`))
    }
    await put('run/containers/auth.json', { auths: {} })
    assert.deepEqual(await find('order.example', 'x'), password('n1'))
    const named = await put('named', {})
    assert.equal(await find('order.example', 'x', { REGISTRY_AUTH_FILE: named }), undefined)
    assert.deepEqual(
      await find('docker.example', 'x', {
        DOCKER_CONFIG: dirname(await put('d/config.json', { auths: { 'docker.example': auth('d') } })),
      }),
      password('d'),
    )
  })

  it('are found under the URLs that Docker writes', async () => {
    const file = await put('addresses', {
      auths: {
        'https://index.docker.io/v1/': auth('hub'),
        'https://v1.example/v1/': auth('v1'),
        'http://plain.example': auth('plain'),
      },
    })
    const more = { REGISTRY_AUTH_FILE: file }
    assert.deepEqual(await find('docker.io', 'library/x', more), password('hub'))
    assert.deepEqual(await find('v1.example', 'x', more), password('v1'))
    assert.deepEqual(await find('plain.example', 'x', more), password('plain'))
  })

  it('may be tokens, and passwords may have colons', async () => {
    const file = await put('kinds', {
      auths: {
        'identity.example': { ...auth('x'), identitytoken: 'i' },
        'bearer.example': { registrytoken: 'b' },
        'colon.example': { auth: Buffer.from('u:a:b').toString('base64') },
        'fields.example': { username: 'f', password: 'p' },
        'empty.example': {},
      },
    })
    const more = { REGISTRY_AUTH_FILE: file }
    assert.deepEqual(await find('identity.example', 'x', more), { kind: 'identity', token: 'i' })
    assert.deepEqual(await find('bearer.example', 'x', more), { kind: 'bearer', token: 'b' })
    assert.deepEqual(await find('colon.example', 'x', more), {
      kind: 'password',
      username: 'u',
      password: 'a:b',
    })
    assert.deepEqual(await find('fields.example', 'x', more), {
      kind: 'password',
      username: 'f',
      password: 'p',
    })
    assert.equal(await find('empty.example', 'x', more), undefined)
  })

  it('are not shown if their file is invalid', async () => {
    for (const text of [
      '{"auths":{"a.example":{"auth":"hidden',
      '{"auths":{"a.example":{"auth":["hidden"]}}}',
    ]) {
      const file = await put('broken', text)
      await assert.rejects(find('a.example', 'x', { REGISTRY_AUTH_FILE: file }), (error) => {
        assert.ok(hasCode(error, 'CONFIG_INVALID'))
        assert.ok(error.message.includes(file))
        assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /hidden/)
        return true
      })
    }
  })

  it('come from credential helpers', async () => {
    const helper = async (name: string, script: string) => {
      const path = await put(`bin/docker-credential-${name}`, `#!/bin/sh\nread server\n${script}\n`)
      await chmod(path, 0o755)
    }
    await helper('good', `echo "{\\"Username\\":\\"u\\",\\"Secret\\":\\"$1 $server\\"}"`)
    await helper('token', `echo '{"Username":"<token>","Secret":"t"}'`)
    await helper('none', 'echo "credentials not found in native keychain"; exit 1')
    await helper('bad', 'echo "locked" >&2; echo secret; exit 3')
    await helper('odd', 'echo odd')
    const path = process.env['PATH']
    process.env['PATH'] = `${join(home, 'bin')}:${path}`
    try {
      const helped = await put('helped', {
        auths: { 'good.example': auth('file'), 'none.example/x': auth('file') },
        credHelpers: {
          'good.example': 'good',
          'token.example': 'token',
          'bad.example': 'bad',
          'odd.example': 'odd',
          'gone.example': 'gone',
          'path.example': '../bin/evil',
        },
      })
      const more = { REGISTRY_AUTH_FILE: helped }
      const good = { kind: 'password', username: 'u', password: 'get good.example' }
      assert.deepEqual(await find('good.example', 'x', more), good)
      assert.deepEqual(await find('token.example', 'x', more), { kind: 'identity', token: 't' })
      for (const [host, reason] of [
        ['bad.example', /failed: locked/],
        ['odd.example', /returned no valid credentials/],
        ['gone.example', /program not found/],
        ['path.example', /an invalid name/],
      ] as const) {
        await assert.rejects(find(host, 'x', more), (error) => {
          assert.ok(hasCode(error, 'CONFIG_INVALID'))
          assert.match(error.message, reason)
          assert.doesNotMatch(error.message, /secret/)
          return true
        })
      }
      const stored = await put('stored', { auths: { 'a.example': auth('file') }, credsStore: 'none' })
      assert.deepEqual(await find('a.example', 'x', { REGISTRY_AUTH_FILE: stored }), password('file'))
    } finally {
      process.env['PATH'] = path
    }
  })
})
