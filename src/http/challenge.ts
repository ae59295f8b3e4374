import type { NixeryError } from '../errors.ts'
import type { Guard } from './guard.ts'
import type { HttpRequest } from './request.ts'
import { tokenPath } from './token.ts'

/** Asks for a name and a password in UTF-8 (RFC 7617). */
export const basicChallenge = 'Basic realm="Nixery", charset="UTF-8"'

export type ChallengeOptions = {
  /** The address that clients use; from the request if not set. */
  readonly publicUrl: string | undefined
  /** Whether clients speak TLS with this server itself. */
  readonly secure: boolean
}

/** The name of this registry in tokens' requests. */
const service = 'nixery'

/**
 * Sends clients to the token endpoint (distribution spec, "Token Authentication Specification"), which itself asks for
 * a name and a password.
 */
export function tokenChallenge(options: ChallengeOptions): Guard['challenge'] {
  return (request, { detail: error }: NixeryError<'UNAUTHENTICATED'>) => {
    if (request.path === tokenPath) return basicChallenge
    const scope = scopeOf(request.path)
    const fields = {
      realm: `${originOf(request, options.publicUrl, options.secure)}${tokenPath}`,
      service,
      ...(scope !== undefined && { scope }),
      ...(error !== undefined && { error }),
    }
    const texts = Object.entries(fields).map(([name, value]) => `${name}="${value}"`)
    return `Bearer ${texts.join(',')}`
  }
}

/**
 * The server's address, without a slash at its end: the configured one, or the one in the client's request.
 * The Host header is one that has been checked.
 */
export function originOf(request: HttpRequest, publicUrl: string | undefined, secure: boolean): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, '')
  const isSecure = secure || request.header('x-forwarded-proto') === 'https'
  return `${isSecure ? 'https' : 'http'}://${request.header('host') ?? 'localhost'}`
}

/** What a path needs a token for, if it is about an image: only what can stand in a header without being escaped. */
function scopeOf(path: string): string | undefined {
  const { name } =
    /^\/v2\/(?<name>[\w./+~@%-]+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.groups ?? {}
  if (name !== undefined) return `repository:${name}:pull`
  return path === '/v2/_catalog' ? 'registry:catalog:*' : undefined
}
