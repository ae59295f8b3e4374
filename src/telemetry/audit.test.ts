import assert from 'node:assert/strict'
import { mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { anonymous, type Identity } from '../access/identity.ts'
import { hasCode, NixeryError } from '../errors.ts'
import type { HttpRequest } from '../http/request.ts'
import { createRedactor } from '../text/redact.ts'
import { openAuditLines } from './audit-lines.ts'
import { createAudit } from './audit.ts'

const alice: Identity = { ...anonymous, name: 'alice', groups: ['dev'], how: 'password' }
const requestOf = (identity: Identity, headers: Record<string, string> = {}): HttpRequest => ({
  id: 'r1',
  identity,
  method: 'GET',
  path: '/v2/git/manifests/latest',
  query: 'token=hunter2',
  header: (name) => headers[name],
  peer: () => '192.0.2.1',
  certificate: () => undefined,
  signal: () => new AbortController().signal,
  body: () => Promise.resolve(''),
})

function open() {
  const written: string[] = []
  let time = 0
  const audit = createAudit({
    lines: { write: (line) => void written.push(line) },
    redactor: createRedactor(['hunter2']),
    addressOf: (peer) => peer,
    now: () => time,
  })
  const read = () => written.map((line) => JSON.parse(line) as Record<string, unknown>)
  return { audit, read, at: (ms: number) => (time = ms) }
}

describe('the audit log', () => {
  it('records who did what, and no credentials', () => {
    const { audit, read } = open()
    const request = requestOf(alice, { authorization: 'Basic hunter2', 'user-agent': 'skopeo/hunter2' })
    audit({ event: 'build', request, image: 'git' })
    const cause = new Error('the token expired')
    const error = new NixeryError('UNAUTHENTICATED', 'no', { cause, detail: 'invalid_token' })
    audit({ event: 'refused', request: requestOf(anonymous), error })
    const [build, refused] = read()
    assert.deepEqual(
      { ...build, userAgent: undefined },
      {
        time: '1970-01-01T00:00:00.000Z',
        event: 'build',
        request: 'r1',
        user: 'alice',
        how: 'password',
        groups: ['dev'],
        address: '192.0.2.1',
        method: 'GET',
        path: '/v2/git/manifests/latest',
        userAgent: undefined,
        image: 'git',
      },
    )
    assert.deepEqual([refused?.['code'], refused?.['reason']], ['UNAUTHENTICATED', 'the token expired'])
    assert.doesNotMatch(JSON.stringify(read()), /hunter2/)
  })

  it('records a login once, and not with each request', () => {
    const { audit, read } = open()
    for (let n = 0; n < 5; n++) audit({ event: 'login', request: requestOf(alice) })
    audit({ event: 'login', request: requestOf({ ...alice, name: 'bob' }) })
    assert.deepEqual(
      read().map(({ user }) => user),
      ['alice', 'bob'],
    )
  })

  it('limits the lines per second, and reports how many it dropped', () => {
    const { audit, read, at } = open()
    const error = new NixeryError('ACCESS_DENIED', 'no')
    for (let n = 0; n < 5000; n++) audit({ event: 'refused', request: requestOf(alice), error })
    audit({ event: 'build', request: requestOf(alice), image: 'git' })
    assert.equal(read().length, 101)
    at(1500)
    audit({ event: 'refused', request: requestOf(alice), error })
    assert.deepEqual(read().slice(-2)[0], { time: '1970-01-01T00:00:01.500Z', event: 'dropped', lines: 4900 })
  })

  it('is a file readable only by its owner, which may be moved; an unwritable one is rejected at startup', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-audit-'))
    try {
      const file = join(folder, 'audit.log')
      const lines = await openAuditLines(file, assert.fail)
      lines.write('one\n')
      await lines.close()
      assert.equal((await stat(file)).mode & 0o777, 0o600)
      await rename(file, `${file}.1`)
      lines.write('two\n')
      lines.write('three\n')
      await lines.close()
      assert.equal(await readFile(file, 'utf8'), 'two\nthree\n')
      const missing = openAuditLines(join(folder, 'none', 'audit.log'), assert.fail)
      await assert.rejects(missing, (error) => hasCode(error, 'CONFIG_INVALID'))
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('keeps lines while the file cannot be written, warns once, and writes them later', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-audit-'))
    const warnings: string[] = []
    const lines = await openAuditLines(join(folder, 'audit.log'), (line) => void warnings.push(line))
    await rename(folder, `${folder}-moved`)
    lines.write('one\n')
    await lines.close()
    lines.write('two\n')
    await lines.close()
    assert.equal(warnings.length, 1)
    await rename(`${folder}-moved`, folder)
    lines.write('three\n')
    await lines.close()
    assert.equal(await readFile(join(folder, 'audit.log'), 'utf8'), 'one\ntwo\nthree\n')
    assert.match(warnings[1] ?? '', /can be written again; 0 lines were dropped/)
    await rm(folder, { recursive: true })
  })
})
