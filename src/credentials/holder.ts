import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Identity } from '../access/identity.ts'

/** An identity as it stands in what this server signs. */
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
 * What is signed in place of the secret that something stands for, so that it ends when the secret changes. It is a hash
 * of a hash: what is signed is sent over networks, and the hash of a password is not.
 */
export const boundTo = (purpose: 'refresh token' | 'session', secret: string): string =>
  createHash('sha256').update(`nixery ${purpose}\0${secret}`).digest('base64url')
