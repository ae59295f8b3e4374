import type { NixeryError } from '../errors.ts'
import type { Guard } from './guard.ts'
import type { HttpRequest } from './request.ts'
import { tokenPath } from './token.ts'

/** Requests a name and a password in UTF-8 (RFC 7617). */
export const basicChallenge = 'Basic realm="Nixery", charset="UTF-8"'

export type ChallengeOptions = {
  /** The public URL of the server; taken from the request if undefined. */
  readonly publicUrl: string | undefined
  /** Whether this server itself terminates TLS. */
  readonly secure: boolean
}

/** The name of this registry in token requests. */
const service = 'nixery'

/**
 * Refers clients to the token endpoint (distribution spec, "Token Authentication Specification"), which itself requests
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
 * The server's URL without a trailing slash: the configured one, or the one in the client's request, whose Host header
 * has been validated.
 */
export function originOf(request: HttpRequest, publicUrl: string | undefined, secure: boolean): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, '')
  return `${schemeOf(request, secure)}://${request.header('host') ?? 'localhost'}`
}

/**
 * How the client reaches the server, as far as that is known.
 * @param secure whether this server itself terminates TLS
 */
export const schemeOf = (request: Pick<HttpRequest, 'header'>, secure: boolean): 'http' | 'https' =>
  secure || request.header('x-forwarded-proto') === 'https' ? 'https' : 'http'

/** The scope that a path needs, if it is about an image: only characters that need no escaping in a header. */
function scopeOf(path: string): string | undefined {
  const { name } =
    /^\/v2\/(?<name>[\w./+~@%-]+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.groups ?? {}
  if (name !== undefined) return `repository:${name}:pull`
  return path === '/v2/_catalog' ? 'registry:catalog:*' : undefined
}
