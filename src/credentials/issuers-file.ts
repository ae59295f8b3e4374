import { isAbsolute } from 'node:path'
import { parse } from 'smol-toml'
import { z } from 'zod'
import { signatureAlgorithms, type Issuer } from './issuer.ts'

const words = z.union([
  z
    .string()
    .min(1)
    .transform((one) => [one]),
  z.array(z.string().min(1)).min(1),
])
const isAddress = (text: string): boolean => /^https?:$/.test(URL.parse(text)?.protocol ?? '')

const issuer = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'is not a name of lower-case letters, digits and dashes'),
  url: z.string().refine(isAddress, 'is not an http or https address'),
  jwks: z
    .string()
    .refine((text) => isAbsolute(text) || isAddress(text), 'is neither an address nor an absolute path')
    .optional(),
  audience: words,
  algorithms: z.array(z.enum(signatureAlgorithms)).min(1).default(['RS256', 'ES256', 'PS256', 'EdDSA']),
  groups: z.string().min(1).optional(),
})

const file = z.strictObject({ issuer: z.array(issuer).max(100).default([]) })

/**
 * Reads the tables `[[issuer]]` of a TOML file.
 * @throws an Error that says what is wrong with it
 */
export function parseIssuers(text: string): readonly Issuer[] {
  const parsed = file.safeParse(parse(text))
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new Error(problems.join('; '))
  }
  return parsed.data.issuer
}
