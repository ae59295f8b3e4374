import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SignJWT, UnsecuredJWT } from 'jose'
import { isRefusal, type Outcome } from '../access/credentials.ts'
import { anonymous, type Identity } from '../access/identity.ts'
import { createOwnTokens, type OwnTokensOptions } from './own-tokens.ts'
import { createSigner } from './signed.ts'

const key = Buffer.alloc(32, 1)
const alice: Identity = { ...anonymous, name: 'alice', how: 'password' }
const job: Identity = {
  name: 'ci:job',
  groups: ['dev'],
  claims: { repository: 'org/x' },
  how: 'oidc',
  issuer: 'ci',
}

/** The tokens of a server with a clock that tests can set. */
function openTokens({
  key: own = key,
  ...options
}: Partial<Omit<OwnTokensOptions, 'signer'>> & { readonly key?: Uint8Array } = {}) {
  const state = { now: 1_000_000_000_000, users: new Map([['alice', 'hash']]) }
  const tokens = createOwnTokens({
    signer: createSigner(own, options.now ?? (() => state.now)),
    isCurrent: ({ how, name }) => how !== 'password' || state.users.has(name),
    secretOf: (name) => state.users.get(name),
    userOf: (name) => (state.users.has(name) ? alice : undefined),
    now: () => state.now,
    ...options,
  })
  const ask = async (token: string): Promise<Outcome | undefined> =>
    tokens.authenticator({ kind: 'bearer', token })
  return { state, tokens, ask }
}

const refusal = (outcome: Outcome | undefined): string =>
  outcome && isRefusal(outcome) ? outcome.refused : `not refused: ${JSON.stringify(outcome)}`

describe('the tokens of this server', () => {
  it('name their holder and their repositories, and are valid for five minutes', async () => {
    const { state, tokens, ask } = openTokens()
    for (const identity of [alice, job, anonymous]) {
      const { token, issuedAt, expiresIn } = await tokens.issue(identity, new Set(['shell/git']))
      assert.deepEqual([issuedAt, expiresIn], [state.now / 1000, 300])
      const outcome = await ask(token)
      assert.deepEqual(outcome, { ...identity, repositories: new Set(['shell/git']) })
      // The same object each time, because decisions are cached by it.
      assert.equal(await ask(token), outcome)
      state.now += 301_000
      assert.match(refusal(await ask(token)), /expired/)
      assert.match(refusal(await openTokens({ now: () => state.now }).ask(token)), /expired/)
    }
  })

  it('are accepted by servers with the same key, and by no others', async () => {
    const { token } = await openTokens().tokens.issue(alice, new Set())
    assert.equal(isRefusal((await openTokens().ask(token)) ?? { refused: '' }), false)
    assert.match(refusal(await openTokens({ key: Buffer.alloc(32, 2) }).ask(token)), /signature/)
  })

  it('are rejected if they are forged, and ignored if another server issued them', async () => {
    const { tokens, ask, state } = openTokens()
    const claims = { holder: alice, repositories: [], iss: 'nixery', exp: state.now / 1000 + 100 }
    const sign = (typ: string, alg = 'HS256', extra = {}) =>
      new SignJWT({ ...claims, ...extra })
        .setProtectedHeader({ alg, typ })
        .sign(alg === 'HS256' ? key : Buffer.alloc(64, 1))
    assert.equal(isRefusal((await ask(await sign('nixery-access+jwt'))) ?? { refused: '' }), false)
    const forged = [
      await sign('nixery-access+jwt', 'HS512'),
      await sign('nixery-access+jwt', 'HS256', { iss: 'other' }),
      await sign('nixery-access+jwt', 'HS256', { holder: { ...alice, how: 'root' } }),
      await sign('nixery-access+jwt', 'HS256', { exp: undefined }),
      `${(await sign('nixery-access+jwt')).slice(0, -4)}AAAA`,
      (await sign('nixery-access+jwt')).replace(/\.[^.]*$/, '.'),
      await sign('nixery-access+jwt', 'HS256', { big: 'x'.repeat(20_000) }),
      // A refresh token is not accepted as an access token.
      (await tokens.issueRefresh(alice)) ?? '',
    ]
    for (const token of forged) assert.match(refusal(await ask(token)), /^a token of /, token)
    for (const token of ['', 'x', 'a.b.c', await sign('JWT'), new UnsecuredJWT(claims).encode()])
      assert.equal(await ask(token), undefined)
    assert.equal(
      await tokens.authenticator({ kind: 'basic', name: 'x', password: forged[0] ?? '' }),
      undefined,
    )
  })

  it('are refused as soon as their holder is removed', async () => {
    const { tokens, ask, state } = openTokens()
    const { token } = await tokens.issue(alice, new Set())
    assert.equal(isRefusal((await ask(token)) ?? { refused: '' }), false)
    state.users.clear()
    assert.match(refusal(await ask(token)), /alice, whose credentials are no longer valid/)
  })

  it('are renewed with a refresh token until the password changes or three months have passed', async () => {
    const { tokens, state } = openTokens()
    const refresh = (await tokens.issueRefresh(alice)) ?? ''
    assert.equal(await tokens.redeem(refresh), alice)
    for (const identity of [job, anonymous, { ...job, how: 'key' } as const])
      assert.equal(await tokens.issueRefresh(identity), undefined)
    const { token } = await tokens.issue(alice, new Set())
    for (const wrong of ['', 'x', token]) assert.match(refusal(await tokens.redeem(wrong)), /refresh token/)
    state.users.set('alice', 'another hash')
    assert.match(refusal(await tokens.redeem(refresh)), /whose password has changed/)
    state.users.set('alice', 'hash')
    assert.equal(await tokens.redeem(refresh), alice)
    state.now += 91 * 24 * 3600 * 1000
    assert.match(refusal(await tokens.redeem(refresh)), /expired/)
  })

  it('are not issued if the claims do not fit in a header', async () => {
    const { tokens } = openTokens()
    const large = { ...job, claims: { groups: 'x'.repeat(20_000) } }
    await assert.rejects(tokens.issue(large, new Set()), { code: 'REQUEST_INVALID' })
  })
})
