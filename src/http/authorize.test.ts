import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, describe, it } from 'node:test'
import { anonymous, type Identity } from '../access/identity.ts'
import type { Subject } from '../access/may.ts'
import { createHistory } from '../web/history.ts'
import { createWeb } from '../web/web.ts'
import { createOps } from './ops.ts'
import { codeOf, openTestRegistry, type TestRegistry } from './testing.ts'

const calls: { identity: Identity; action: string; subject: Subject }[] = []
let allowed = true
let registry: TestRegistry
before(async () => {
  registry = await openTestRegistry({
    listNames: true,
    pages: createWeb({
      history: createHistory({ builds: 1, linesPerBuild: 1 }),
      describe: () => [{ source: 'a folder' }],
      version: '1',
      listBuilds: true,
      showNames: true,
    }),
    ops: createOps({
      checks: {},
      isStopping: () => false,
      metrics: () => Promise.resolve({ contentType: 'text/plain', text: 'a 1\n' }),
    }),
    may(identity, action, subject) {
      calls.push({ identity, action, subject })
      return allowed
    },
  })
})
after(() => registry.dispose())
beforeEach(() => {
  calls.length = 0
  allowed = true
})

const digest = `sha256:${'0'.repeat(64)}`
const id = randomUUID()
const kindOf = (subject: Subject | undefined): string | undefined =>
  typeof subject === 'string'
    ? subject
    : Object.keys(subject ?? {}).find((key) => /^(imageRequest|digest|build)$/.test(key))

const rows: [path: string, action: string, subject: string][] = [
  ['/v2/', 'pull', 'server'],
  ['/v2/shell/git/manifests/latest', 'pull', 'imageRequest'],
  ['/v2/shell/git/manifests/latest?again', 'pull', 'imageRequest'],
  [`/v2/git/manifests/${digest}`, 'pull', 'digest'],
  [`/v2/git/blobs/${digest}`, 'pull', 'digest'],
  ['/v2/git/tags/list', 'pull', 'imageRequest'],
  [`/v2/git/referrers/${digest}`, 'pull', 'digest'],
  [`/v2/git/manifests/sha256-${'0'.repeat(64)}.sig`, 'pull', 'imageRequest'],
  ['/v2/_catalog', 'list', 'server'],
  ['/', 'list', 'server'],
  [`/builds/${id}`, 'logs', 'build'],
  ['/static/x.css', 'pull', 'public'],
  ['/nowhere', 'pull', 'public'],
  ['/healthz', 'pull', 'public'],
  ['/readyz', 'pull', 'public'],
  ['/metrics', 'admin', 'server'],
]

describe('access', () => {
  for (const [path, action, subject] of rows) {
    it(`is decided once, before the response: ${path}`, async () => {
      for (const client of registry.clients) {
        await client.fetch(path)
        assert.deepEqual(
          calls.map((call) => [call.action, kindOf(call.subject)]),
          [[action, subject]],
        )
        assert.equal(calls[0]?.identity, anonymous)
        calls.length = 0
        allowed = false
        const denied = await client.fetch(path)
        assert.equal(denied.status, 403)
        assert.equal(codeOf(denied), 'DENIED')
        assert.equal(calls.length, 1)
        calls.length = 0
        allowed = true
      }
    })
  }

  it('is decided by the meaning of a name, however it is spelled', async () => {
    for (const name of ['git/htop', 'git%2Fhtop', 'git/htop']) {
      await registry.clients[1].fetch(`/v2/${name}/manifests/latest`)
    }
    const requests = calls.map(
      ({ subject }) => typeof subject === 'object' && 'imageRequest' in subject && subject.imageRequest,
    )
    assert.deepEqual(requests[1], requests[0])
    assert.deepEqual(requests[2], requests[0])
  })

  it('is not called for invalid requests', async () => {
    assert.equal((await registry.clients[1].fetch('/v2/', { method: 'DELETE' })).status, 405)
    assert.equal((await registry.clients[1].fetch('/v2/nothing/here')).status, 404)
    assert.deepEqual(calls, [])
  })
})
