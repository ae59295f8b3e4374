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
