import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { firstOf, isRefusal, noCredentials, parseAuthorization } from './credentials.ts'
import { anonymous } from './identity.ts'

const basic = (text: string | Uint8Array) => `Basic ${Buffer.from(text).toString('base64')}`

describe('an Authorization header', () => {
  const rows: [header: string | undefined, read: object | undefined][] = [
    [undefined, noCredentials],
    [basic('alice:secret'), { kind: 'basic', name: 'alice', password: 'secret' }],
    [basic('alice:a:b'), { kind: 'basic', name: 'alice', password: 'a:b' }],
    [basic('alice:'), { kind: 'basic', name: 'alice', password: '' }],
    [basic('zoë:ünï'), { kind: 'basic', name: 'zoë', password: 'ünï' }],
    [basic(':'), noCredentials],
    [basic('a:b').replace('Basic', 'bAsIc'), { kind: 'basic', name: 'a', password: 'b' }],
    ['Bearer a.b-c_d~e+f/g==', { kind: 'bearer', token: 'a.b-c_d~e+f/g==' }],
    ['', undefined],
    ['Basic', undefined],
    ['Bearer ', undefined],
    ['Bearer a b', undefined],
    ['Bearer a, Bearer b', undefined],
    ['Digest username="a"', undefined],
    ['Negotiate YII=', undefined],
    ['Basic not*base64', undefined],
    [basic('no colon'), undefined],
    [basic('a\u0000b:c'), undefined],
    [basic('a:b\n'), undefined],
    [basic(Uint8Array.of(0xff, 0xfe, 0x3a)), undefined],
    [basic(`${'x'.repeat(20_000)}:y`), { kind: 'basic', name: 'x'.repeat(20_000), password: 'y' }],
  ]
  for (const [header, read] of rows) {
    it(`is read: ${header?.slice(0, 60)}`, () => {
      assert.deepEqual(parseAuthorization(header), read)
      if (read === noCredentials) assert.equal(parseAuthorization(header), noCredentials)
    })
  }
})

describe('several authenticators', () => {
  const credentials = { kind: 'bearer', token: 't' } as const
  const alice = { ...anonymous, name: 'alice', how: 'key' } as const

  it('are tried in order until one supports the kind', async () => {
    const calls: string[] = []
    const authenticate = firstOf([
      () => void calls.push('first'),
      () => Promise.resolve(void calls.push('second')),
      () => (calls.push('third'), alice),
      () => (calls.push('fourth'), anonymous),
    ])
    assert.equal(await authenticate(credentials), alice)
    assert.deepEqual(calls, ['first', 'second', 'third'])
  })

  it('decide synchronously if possible', () => {
    assert.equal(firstOf([() => undefined, () => alice])(credentials), alice)
  })

  it('refuse unsupported kinds', async () => {
    const outcome = await firstOf([() => undefined, () => Promise.resolve(undefined)])(credentials)
    assert.ok(isRefusal(outcome))
  })
})
