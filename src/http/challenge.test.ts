import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NixeryError } from '../errors.ts'
import { tokenChallenge } from './challenge.ts'
import { loginNeeded, refused, scopeNeeded } from './guard.ts'
import { testRequest } from './web-fetch-testing.ts'

const needed = loginNeeded()
const rows: [
  path: string,
  headers: Record<string, string>,
  failure: NixeryError<'UNAUTHENTICATED'>,
  challenge: string,
][] = [
  ['/v2/', { host: 'a:80' }, needed, 'realm="http://a:80/token",service="nixery"'],
  [
    '/v2/shell/git/manifests/latest',
    { host: 'a' },
    needed,
    'realm="http://a/token",service="nixery",scope="repository:shell/git:pull"',
  ],
  [
    '/v2/git/blobs/sha256:0',
    { host: 'a', 'x-forwarded-proto': 'https' },
    scopeNeeded(),
    'realm="https://a/token",service="nixery",scope="repository:git:pull",error="insufficient_scope"',
  ],
  ['/v2/', {}, refused(), 'realm="http://localhost/token",service="nixery",error="invalid_token"'],
  [
    '/v2/_catalog',
    { host: 'a' },
    needed,
    'realm="http://a/token",service="nixery",scope="registry:catalog:*"',
  ],
  // Characters that would need escaping are omitted.
  ['/v2/a"b/manifests/latest', { host: 'a' }, needed, 'realm="http://a/token",service="nixery"'],
]

describe('the challenge of NIXERY_AUTH=token', () => {
  for (const [path, headers, failure, expected] of rows) {
    it(`for ${path} is ${expected}`, () => {
      const challenge = tokenChallenge({ publicUrl: undefined, secure: false })
      assert.equal(challenge(testRequest(path, { headers }), failure), `Bearer ${expected}`)
    })
  }

  it('contains the configured URL', () => {
    const challenge = tokenChallenge({ publicUrl: 'https://nixery.example.org', secure: false })
    assert.match(
      challenge(testRequest('/v2/', { headers: { host: 'a' } }), needed),
      /^Bearer realm="https:\/\/nixery\.example\.org\/token"/,
    )
    const secure = tokenChallenge({ publicUrl: undefined, secure: true })
    assert.match(
      secure(testRequest('/v2/', { headers: { host: 'a' } }), needed),
      /^Bearer realm="https:\/\/a\/token"/,
    )
  })

  it('requests a name and a password where tokens are issued', () => {
    const challenge = tokenChallenge({ publicUrl: undefined, secure: false })
    assert.equal(challenge(testRequest('/token'), refused()), 'Basic realm="Nixery", charset="UTF-8"')
  })
})
