import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { isRefusal } from '../access/credentials.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { parseHtpasswd } from '../credentials/htpasswd.ts'
import { identityOf, type Issuer } from '../credentials/issuer.ts'
import { openSigned } from './tokens.ts'

const folder = mkdtempSync(join(tmpdir(), 'nixery-signed-'))
after(() => rmSync(folder, { recursive: true }))

const corp: Issuer = { name: 'corp', url: 'https://id.example/', audience: ['nixery'], algorithms: ['ES256'] }
const withHash = (character: string) => parseHtpasswd(`alice:$2b$04$${character.repeat(53)}\n`)

describe('signed values of the server', () => {
  it('become invalid with the password, the user or the issuer behind them', async () => {
    const catalog = await openSqliteCatalog(join(folder, 'catalog.db'), { warn: assert.fail })
    let users = withHash('a')
    let issuers: readonly Issuer[] = [corp]
    const { sessions, tokens } = await openSigned(
      { NIXERY_TOKEN_KEY: undefined, NIXERY_DATA: folder },
      () => users,
      { apiKeys: { find: () => Promise.resolve(undefined) }, logouts: catalog.logouts },
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
    await catalog.close()
  })

  it('end on all servers that share a catalog', async () => {
    const users = withHash('a')
    const catalogs = await Promise.all(
      [1, 2].map(() => openSqliteCatalog(join(folder, 'catalog.db'), { warn: assert.fail })),
    )
    const [one, other] = await Promise.all(
      catalogs.map(async ({ apiKeys, logouts }) => {
        const of = { NIXERY_TOKEN_KEY: undefined, NIXERY_DATA: folder }
        return (
          await openSigned(
            of,
            () => users,
            { apiKeys, logouts },
            () => [],
          )
        ).sessions
      }),
    )
    const alice = users.get('alice')?.identity
    assert.ok(one && other && alice)
    const [ended, kept] = [await one.begin(alice, 900), await one.begin(alice, 900)]
    assert.ok(await other.find(ended))
    await one.end(ended)
    assert.equal(await one.find(ended), undefined)
    assert.equal(await other.find(ended), undefined)
    assert.ok(await other.find(kept))
    for (const catalog of catalogs) await catalog.close()
  })
})
