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

/** Whom a table of the policy is for. */
export const whoForm = z.array(who).min(1)
