import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Identity } from '../access/identity.ts'

/** An identity as stored in this server's tokens. */
export const holderForm = z.object({
  name: z.string(),
  groups: z.array(z.string()),
  claims: z.record(z.string(), z.unknown()),
  how: z.enum(['anonymous', 'password', 'key', 'oidc', 'certificate']),
  issuer: z.string().optional(),
})

export const holderOf = ({ name, groups, claims, how, issuer }: Identity) => ({
  name,
  groups,
  claims,
  how,
  issuer,
})

export function identityOfHolder({ issuer, ...rest }: z.infer<typeof holderForm>): Identity {
  return { ...rest, ...(issuer !== undefined && { issuer }) }
}

/**
 * The value that ties a token to a secret, so that the token becomes invalid when the secret changes. It is a hash of
 * the password's hash: tokens are sent over networks, and password hashes must not be.
 */
export const boundTo = (purpose: 'refresh token' | 'session', secret: string): string =>
  createHash('sha256').update(`nixery ${purpose}\0${secret}`).digest('base64url')
