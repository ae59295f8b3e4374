import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError, SourceLacks, type DetailOf, type ErrorCode, type ErrorDetails } from '../errors.ts'
import { MemberGone } from '../layers/pack.ts'
import { DerivationGone } from '../nix/realise.ts'
import { unreachable } from '../nix/unreachable.ts'
import { plainTexts } from '../text/public.ts'
import { errorReply } from './errors.ts'

/** A detail for each code that has one. */
const details: { readonly [Code in keyof ErrorDetails]: DetailOf<Code> } = {
  RANGE_INVALID: { size: 7 },
  PRECONDITION_FAILED: { etag: '"a"' },
  PACKAGE_UNKNOWN: { missing: ['hallo'], suggestions: [{ name: 'hallo', nearest: ['hello'] }] },
  PACKAGE_INVALID: { invalid: ['lib'] },
  PACKAGE_DENIED: { denied: ['vlc'] },
  UNAUTHENTICATED: 'invalid_token',
  RATE_LIMITED: { retryAfter: 7 },
  STILL_BUILDING: { build: 'some build' },
  STORE_UNAVAILABLE: ['sha256:a'],
  REGISTRY_REFUSED: { status: 401 },
  REGISTRY_UNAVAILABLE: { reason: 'ECONNREFUSED' },
}
/** The public part of these. */
const shown: ReadonlySet<string> = new Set([
  'RANGE_INVALID',
  'PRECONDITION_FAILED',
  'PACKAGE_UNKNOWN',
  'PACKAGE_INVALID',
  'PACKAGE_DENIED',
  'STILL_BUILDING',
])
const codes: Readonly<Record<ErrorCode, true>> = {
  NAME_INVALID: true,
  TAG_INVALID: true,
  DIGEST_INVALID: true,
  RANGE_INVALID: true,
  QUERY_INVALID: true,
  REQUEST_INVALID: true,
  PRECONDITION_FAILED: true,
  PACKAGE_UNKNOWN: true,
  PACKAGE_INVALID: true,
  PACKAGE_DENIED: true,
  UNAUTHENTICATED: true,
  RECIPE_UNKNOWN: true,
  RECIPE_INVALID: true,
  ACCESS_DENIED: true,
  RATE_LIMITED: true,
  QUOTA_EXCEEDED: true,
  NOT_READY: true,
  MANIFEST_UNKNOWN: true,
  BLOB_UNKNOWN: true,
  ROUTE_UNKNOWN: true,
  UNSUPPORTED: true,
  SOURCE_INVALID: true,
  SOURCE_UNREACHABLE: true,
  EVALUATION_TIMEOUT: true,
  BUILD_FAILED: true,
  BUILD_TIMEOUT: true,
  NIX_UNAVAILABLE: true,
  STORE_FULL: true,
  STORE_UNAVAILABLE: true,
  STORE_PATH_INVALID: true,
  CONFIG_INVALID: true,
  SETUP_FAILED: true,
  CANCELLED: true,
  STILL_BUILDING: true,
  OVERLOADED: true,
  REGISTRY_REFUSED: true,
  REGISTRY_UNAVAILABLE: true,
}
const replied = (error: unknown) => {
  const { errors } = JSON.parse(errorReply(error, plainTexts).body as string) as {
    errors: [Record<string, unknown>]
  }
  return errors[0]
}

describe('the public part of a failure', () => {
  for (const code of Object.keys(codes) as ErrorCode[]) {
    it(`of ${code} is its message, hint and public detail`, () => {
      const detail = (details as Partial<Record<ErrorCode, unknown>>)[code]
      const cause = new Error('the cause is for the log')
      const error = new NixeryError(code, 'what happened', {
        cause,
        hint: 'try this',
        detail: detail as never,
      })
      const { code: oci, ...response } = replied(error)
      assert.equal(typeof oci, 'string')
      assert.deepEqual(response, {
        message: 'what happened (try this)',
        ...(shown.has(code) && { detail }),
      })
    })
  }

  it('does not contain internal details', () => {
    const cause = new Error('the cause is for the log')
    const failures = [
      new DerivationGone('BUILD_FAILED', 'what happened'),
      new SourceLacks('SOURCE_UNREACHABLE', 'what happened'),
      new MemberGone(cause),
      unreachable({ timedOut: false, lines: ['error: HTTP error 404'] }),
    ]
    for (const failure of failures) assert.deepEqual(Object.keys(replied(failure)), ['code', 'message'])
    assert.ok(failures.at(-1) instanceof SourceLacks)
  })
})
