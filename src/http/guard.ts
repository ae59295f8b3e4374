import {
  isRefusal,
  noCredentials,
  parseAuthorization,
  type Authenticate,
  type Outcome,
} from '../access/credentials.ts'
import { anonymous, type Identity } from '../access/identity.ts'
import { NixeryError } from '../errors.ts'
import type { RequestAddress } from './address.ts'
import type { HttpRequest } from './request.ts'

/** Determines the identity of requests, if authentication is on. */
export type Guard = {
  /** Verifies credentials. Requests without credentials are anonymous. */
  readonly authenticate: Authenticate
  /** `WWW-Authenticate` of a 401: exactly one challenge, because docker follows the last of several. */
  readonly challenge: (request: HttpRequest, failure: NixeryError<'UNAUTHENTICATED'>) => string
  /** The holder of the session of a request for a page; undefined without a valid session. */
  readonly session?: (request: HttpRequest) => Promise<Identity | undefined> | undefined
  /**
   * Requests that need credentials even if anonymous clients are allowed; anonymous clients get an anonymous token for
   * them.
   */
  readonly needsToken?: (request: HttpRequest) => boolean
}

/**
 * Identifies the sender of a request: synchronously without credentials and for cached ones.
 * @throws UNAUTHENTICATED for invalid credentials, with the same response for every reason
 */
export function identify(
  guard: Guard,
  request: HttpRequest,
  addressOf?: RequestAddress,
): Identity | Promise<Identity> {
  const credentials = parseAuthorization(request.header('authorization'))
  // Credentials in the request take precedence over those of the connection.
  if (credentials === noCredentials) {
    const outcome = request.certificate()
    if (outcome) return identityOf(outcome)
    if (guard.needsToken?.(request) === true) throw loginNeeded()
    return guard.session?.(request)?.then((found) => found ?? anonymous) ?? anonymous
  }
  if (!credentials) throw refused()
  // Only checks of passwords are limited by address, and parsing it costs as much as a known token.
  const from = credentials.kind === 'basic' ? addressOf?.(request) : undefined
  const outcome = guard.authenticate(credentials, from)
  return outcome instanceof Promise ? outcome.then(identityOf) : identityOf(outcome)
}

function identityOf(outcome: Outcome): Identity {
  if (isRefusal(outcome)) throw refused(outcome.refused)
  return outcome
}

/** @param reason for the log */
export const refused = (reason?: string) =>
  new NixeryError('UNAUTHENTICATED', 'these credentials are not valid', {
    detail: 'invalid_token',
    ...(reason !== undefined && { cause: new Error(reason) }),
  })

/** The error for an anonymous client that lacks permission. */
export const loginNeeded = () =>
  new NixeryError('UNAUTHENTICATED', 'authentication is required', { detail: undefined })

/** The error for a token that is for other repositories. */
export const scopeNeeded = () =>
  new NixeryError('UNAUTHENTICATED', 'this token is for other repositories', { detail: 'insufficient_scope' })
