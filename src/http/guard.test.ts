import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { anonymous, type Identity } from '../access/identity.ts'
import { createOps } from './ops.ts'
import { codeOf, openTestRegistry, type TestRegistry } from './testing.ts'

const alice: Identity = { ...anonymous, name: 'alice', how: 'password' }
const challenge = 'Basic realm="nixery", charset="UTF-8"'
const pull = '/v2/git/manifests/latest'
const authorization = (value: string) => ({ headers: { authorization: value } })
const basic = (text: string) => authorization(`Basic ${Buffer.from(text).toString('base64')}`)

let registry: TestRegistry
before(async () => {
  registry = await openTestRegistry({
    ops: createOps({
      checks: {},
      isStopping: () => false,
      metrics: () => Promise.resolve({ contentType: 'text/plain', text: 'a 1\n' }),
    }),
    may: (identity, action, subject) => subject === 'public' || (identity === alice && action === 'pull'),
    guard: {
      challenge: () => challenge,
      authenticate(credentials) {
        if (credentials.kind !== 'basic') return { refused: 'kind' }
        if (credentials.name === 'late') return Promise.resolve(alice)
        return credentials.password === 'right' ? alice : { refused: 'password' }
      },
    },
  })
})
after(() => registry.dispose())

describe('a guarded registry', () => {
  for (const index of [0, 1] as const) {
    it(`requests credentials from clients without any, in the format of the spec (${index})`, async () => {
      const client = registry.clients[index]
      for (const request of [{}, authorization('Basic Og==')]) {
        const response = await client.fetch(pull, request)
        assert.equal(response.status, 401)
        assert.equal(codeOf(response), 'UNAUTHORIZED')
        assert.equal(response.headers['www-authenticate'], challenge)
      }
    })

    it(`gives the same response to wrong, malformed and foreign credentials (${index})`, async () => {
      const answers = []
      for (const request of [
        basic('alice:wrong'),
        basic('nobody:x'),
        authorization('Bearer x'),
        authorization('x'),
      ]) {
        const response = await registry.clients[index].fetch(pull, request)
        assert.equal(response.status, 401)
        assert.equal(response.headers['www-authenticate'], challenge)
        answers.push(response.body.toString())
      }
      assert.equal(new Set(answers).size, 1)
    })

    it(`serves authorized clients, whether verification is synchronous or not (${index})`, async () => {
      const client = registry.clients[index]
      assert.equal((await client.fetch(pull, basic('alice:right'))).status, 200)
      assert.equal((await client.fetch(pull, basic('late:x'))).status, 200)
      const denied = await client.fetch('/metrics', basic('alice:right'))
      assert.deepEqual([denied.status, codeOf(denied)], [403, 'DENIED'])
    })

    it(`serves public paths even with wrong credentials (${index})`, async () => {
      for (const path of ['/healthz', '/readyz']) {
        assert.equal((await registry.clients[index].fetch(path)).status, 200)
        assert.equal((await registry.clients[index].fetch(path, basic('alice:wrong'))).status, 200)
      }
    })
  }
})
