import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { apiKeyAuthenticator, makeApiKey } from './api-key.ts'

describe('API keys', async () => {
  const { apiKeys } = await openSqliteCatalog(':memory:')
  const { key, id, hash } = makeApiKey()
  await apiKeys.add({ id, name: 'ci', hash, groups: ['dev'], createdAt: 100, expiresAt: 200 })
  let time = 150
  const authenticate = apiKeyAuthenticator(apiKeys, () => time)
  const basic = (password: string) => authenticate({ kind: 'basic', name: 'anyone', password })

  it('are a password of any user, and a bearer token', async () => {
    const ci = { name: 'ci', groups: ['dev'], claims: { apiKey: id }, how: 'key' }
    assert.deepEqual(await basic(key), ci)
    assert.deepEqual(await authenticate({ kind: 'bearer', token: key }), ci)
    assert.equal(hash.includes(key.slice(21)), false)
  })

  it('are refused when they are wrong, unknown or expired; other credentials are not theirs', async () => {
    const wrong = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`
    assert.deepEqual(await basic(wrong), { refused: `the API key ${id} is not known` })
    assert.match(JSON.stringify(await basic(makeApiKey().key)), /is not known/)
    time = 200
    assert.match(JSON.stringify(await basic(key)), /\(ci\) is expired/)
    time = 150
    for (const other of ['', 'nxk_', `${key}x`, ` ${key}`, 'x'.repeat(100_000)]) {
      assert.equal(await basic(other), undefined)
    }
    assert.equal(await authenticate({ kind: 'none' }), undefined)
  })

  it('are refused as soon as they are revoked', async () => {
    assert.equal('name' in ((await basic(key)) ?? {}), true)
    await apiKeys.revoke(id, 151)
    assert.match(JSON.stringify(await basic(key)), /\(ci\) is revoked/)
  })
})
