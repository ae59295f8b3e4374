import { z } from 'zod'
import { parseWho } from '../access/who.ts'

const who = z.string().transform((text, context) => {
  const read = parseWho(text)
  if (read) return read
  context.addIssue(
    `${JSON.stringify(text)} is not everyone, anonymous, user:NAME, group:NAME or issuer:NAME CLAIM=VALUE`,
  )
  return z.NEVER
})

/** The clients that a table of the policy applies to. */
export const whoForm = z.array(who).min(1)
