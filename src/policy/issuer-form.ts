import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { signatureAlgorithms } from '../credentials/issuer.ts'

const words = z.union([
  z
    .string()
    .min(1)
    .transform((one) => [one]),
  z.array(z.string().min(1)).min(1),
])
const isHttpUrl = (text: string): boolean => /^https?:$/.test(URL.parse(text)?.protocol ?? '')

/** The fields of `[[issuer]]`, which defines an issuer whose tokens are accepted. */
export const issuerForm = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'is not a name of lower-case letters, digits and hyphens'),
  url: z.string().refine(isHttpUrl, 'is not an http or https URL'),
  jwks: z
    .string()
    .refine((text) => isAbsolute(text) || isHttpUrl(text), 'is neither a URL nor an absolute path')
    .optional(),
  audience: words,
  algorithms: z.array(z.enum(signatureAlgorithms)).min(1).default(['RS256', 'ES256', 'PS256', 'EdDSA']),
  groups: z.string().min(1).optional(),
  login: z
    .strictObject({
      client: z.string().min(1),
      secret: z
        .string()
        .refine((text) => isAbsolute(text), 'is not the absolute path of a file')
        .optional(),
      scope: z
        .string()
        .refine((text) => text.split(' ').includes('openid'), 'does not contain openid')
        .optional(),
    })
    .optional(),
})
