import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hashSync } from 'bcryptjs'
import { isRefusal } from '../access/credentials.ts'
import { htpasswdAuthenticator, parseHtpasswd } from './htpasswd.ts'
import { createVerifyPassword } from './passwords.ts'

const hash = hashSync('right', 4).replace(/^\$2b/, '$2y') // as htpasswd -B writes it

describe('an htpasswd file', () => {
  it('has a user on each line, except for comments', () => {
    const users = parseHtpasswd(`# ours\r\nalice:${hash}\r\n\nbob:${hash.replace('$2y', '$2b')}\n`)
    assert.deepEqual([...users.keys()], ['alice', 'bob'])
    assert.deepEqual(users.get('alice')?.identity, { name: 'alice', groups: [], claims: {}, how: 'password' })
    assert.equal(parseHtpasswd('').size, 0)
  })

  const rows: [line: string, problem: RegExp][] = [
    ['alice:$apr1$LqD3Zb3g$1F8Zg5DWp1eM5Jwqpz6Wn/', /line 2: alice has a MD5 \(apr1\) password/],
    ['alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', /line 2: alice has a SHA-1 password/],
    ['alice:$5$x$y', /line 2: alice has a SHA-256 password/],
    ['alice:$6$x$y', /line 2: alice has a SHA-512 password/],
    ['alice:secret', /line 2: alice has a crypt or plain password/],
    [`alice:${hash.slice(0, -1)}`, /line 2: alice has a damaged bcrypt password/],
    [`alice:${hash.replace('$04$', '$31$')}`, /line 2: alice has a bcrypt hash of cost 31/],
    [`bob:${hash}`, /line 2: bob appears twice/],
    ['alice', /line 2: expected a name, a colon and a hash/],
    [`:${hash}`, /line 2: expected a name, a colon and a hash/],
  ]
  for (const [line, problem] of rows) {
    it(`is rejected with the line number, but without the hash: ${line.slice(0, 20)}`, () => {
      assert.throws(
        () => parseHtpasswd(`bob:${hash}\n${line}\n`),
        (error: Error) =>
          problem.test(error.message) && !error.message.includes(line.split(':')[1] ?? 'secret'),
      )
    })
  }
})

describe('names and passwords', () => {
  const users = parseHtpasswd(`alice:${hash}\n`)
  const tried: string[] = []
  const verify = createVerifyPassword()
  const authenticate = htpasswdAuthenticator(
    () => users,
    (against, password) => {
      tried.push(against)
      return verify(against, password)
    },
  )
  const ask = (name: string, password: string) => authenticate({ kind: 'basic', name, password })

  it('identify the user', async () => {
    assert.equal(await ask('alice', 'right'), users.get('alice')?.identity)
  })

  it('are rejected after the same amount of work, whether the name or the password is wrong', async () => {
    tried.length = 0
    for (const [name, password] of [
      ['alice', 'wrong'],
      ['mallory', 'right'],
      ['', 'right'],
    ] as const) {
      const outcome = await ask(name, password)
      assert.ok(outcome && isRefusal(outcome))
    }
    assert.deepEqual(
      tried.map((each) => each.slice(4, 7)),
      ['04$', '04$', '04$'],
    )
    assert.equal(tried[1], tried[2])
  })

  it('are the only credentials that this verifier checks', async () => {
    assert.equal(await authenticate({ kind: 'bearer', token: 'x' }), undefined)
  })
})
