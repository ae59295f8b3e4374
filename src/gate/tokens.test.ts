import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { isRefusal } from '../access/credentials.ts'
import { parseHtpasswd } from '../credentials/htpasswd.ts'
import { identityOf, type Issuer } from '../credentials/issuer.ts'
import { openSigned } from './tokens.ts'

const folder = mkdtempSync(join(tmpdir(), 'nixery-signed-'))
after(() => rmSync(folder, { recursive: true }))

const corp: Issuer = { name: 'corp', url: 'https://id.example/', audience: ['nixery'], algorithms: ['ES256'] }
const withHash = (character: string) => parseHtpasswd(`alice:$2b$04$${character.repeat(53)}\n`)

describe('signed values of the server', () => {
  it('become invalid with the password, the user or the issuer behind them', async () => {
    let users = withHash('a')
    let issuers: readonly Issuer[] = [corp]
    const { sessions, tokens } = await openSigned(
      { NIXERY_TOKEN_KEY: undefined, NIXERY_DATA: folder },
      () => users,
      { find: () => Promise.resolve(undefined) },
      () => issuers,
    )
    const alice = users.get('alice')?.identity
    const anna = identityOf(corp, { iss: 'https://id.example', sub: 'anna' })
    assert.ok(alice && anna)
    const [aliceIn, annaIn] = [await sessions.begin(alice, 900), await sessions.begin(anna, 900)]
    const { token } = await tokens.issue(anna, new Set())
    const isIn = async (cookie: string) => (await sessions.find(cookie)) !== undefined
    const isGood = async () => {
      const outcome = await tokens.authenticator({ kind: 'bearer', token })
      return outcome !== undefined && !isRefusal(outcome)
    }
    assert.deepEqual([await isIn(aliceIn), await isIn(annaIn), await isGood()], [true, true, true])

    users = withHash('b')
    assert.equal(await isIn(aliceIn), false, 'another password')
    users = withHash('a')
    assert.equal(await isIn(aliceIn), true)
    users = parseHtpasswd('')
    assert.equal(await isIn(aliceIn), false, 'no user')

    issuers = [{ ...corp, url: 'https://other.example' }]
    assert.deepEqual(
      [await isIn(annaIn), await isGood()],
      [false, false],
      'another issuer with the same name',
    )
    issuers = []
    assert.deepEqual([await isIn(annaIn), await isGood()], [false, false], 'no issuer')
  })
})
