import type { Identity } from './identity.ts'

/** The unverified credentials of a request. */
export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly name: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }

/** Invalid credentials. The reason is for the operator, and is not sent to the client. */
export type Refusal = { readonly refused: string }

/** The result of verifying credentials. */
export type Outcome = Identity | Refusal

/**
 * Verifies credentials: an identity, a refusal, or undefined for credentials of a kind that another authenticator
 * verifies. `from` is the address of the client that sent a password, if it is known. Synchronous if possible, so that
 * cached credentials cost a request little. Rejects only with failures that are not the client's, such as OVERLOADED.
 */
export type Authenticator = (
  credentials: Credentials,
  from?: string,
) => Outcome | undefined | Promise<Outcome | undefined>

/** Verifies credentials of any kind. */
export type Authenticate = (credentials: Credentials, from?: string) => Outcome | Promise<Outcome>

export const isRefusal = (outcome: Outcome): outcome is Refusal => 'refused' in outcome

/** A request without credentials. */
export const noCredentials: Credentials = Object.freeze({ kind: 'none' })

// RFC 9110 §11.4 and RFC 6750 §2.1: a scheme, and one token68.
const authorization = /^(?<scheme>[A-Za-z]+) +(?<value>[A-Za-z0-9._~+/-]+=*) *$/

/**
 * Parses an `Authorization` header; undefined if it is neither Basic (RFC 7617) nor Bearer (RFC 6750), or malformed.
 */
export function parseAuthorization(header: string | undefined): Credentials | undefined {
  if (header === undefined) return noCredentials
  const { scheme = '', value = '' } = authorization.exec(header)?.groups ?? {}
  switch (scheme.toLowerCase()) {
    case 'basic':
      return parseBasic(value)
    case 'bearer':
      return { kind: 'bearer', token: value }
    default:
      return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseBasic(value: string): Credentials | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined
  try {
    const text = utf8.decode(Buffer.from(value, 'base64'))
    const colon = text.indexOf(':')
    // eslint-disable-next-line no-control-regex
    if (colon === -1 || /[\u0000-\u001f\u007f]/.test(text)) return undefined
    const [name, password] = [text.slice(0, colon), text.slice(colon + 1)]
    // Sent by clients that are configured with an empty name.
    return name === '' && password === '' ? noCredentials : { kind: 'basic', name, password }
  } catch {
    return undefined // not UTF-8
  }
}

/**
 * Tries authenticators in order; the first that supports the kind of credentials decides. If none does, the credentials
 * are refused.
 */
export function firstOf(authenticators: readonly Authenticator[]): Authenticate {
  const verifyWith = (
    start: number,
    credentials: Credentials,
    from: string | undefined,
  ): Outcome | Promise<Outcome> => {
    for (let index = start; index < authenticators.length; index += 1) {
      const outcome = authenticators[index]?.(credentials, from)
      if (outcome instanceof Promise)
        return outcome.then((one) => one ?? verifyWith(index + 1, credentials, from))
      if (outcome) return outcome
    }
    return { refused: 'no authenticator accepts credentials of this kind' }
  }
  return (credentials, from) => verifyWith(0, credentials, from)
}
