import { parse, TomlError } from 'smol-toml'
import { z } from 'zod'
import type { Policy } from '../access/policy.ts'
import type { Who } from '../access/who.ts'
import type { Issuer } from '../credentials/issuer.ts'
import type { QuotaRule } from '../quotas/quota-rules.ts'
import { issuerForm } from './issuer-form.ts'
import { quotaForm } from './quota-form.ts'
import { whoForm } from './who-form.ts'

/** The contents of a policy file. */
export type PolicyFile = Policy & {
  readonly issuers: readonly Issuer[]
  /** The first one that matches a client applies. */
  readonly quotas: readonly QuotaRule[]
}

/** What rules apply to. */
export const actions = ['pull', 'build', 'list', 'logs', 'admin', 'keys'] as const

const globs = z.array(z.string().min(1))
const rule = z
  .strictObject({
    who: whoForm,
    may: z.array(z.enum(actions)).default([]),
    packages: globs.default(['*']),
    recipes: globs.optional(),
    sets: globs.default(['*']),
    deny: globs.default([]),
  })
  .transform((one) => ({
    ...one,
    // A client that may use every package may use it by any name.
    recipes: one.recipes ?? (one.packages.includes('*') ? ['*'] : []),
  }))

// Limits the cost of a request: each rule and quota is compared with each identity.
const mostTables = 1000

const form = z
  .strictObject({
    rule: z.array(rule).max(mostTables).default([]),
    issuer: z.array(issuerForm).max(100).default([]),
    quota: z.array(quotaForm).max(mostTables).default([]),
  })
  .superRefine(({ rule: rules, issuer: issuers, quota: quotas }, context) => {
    const names = issuers.map(({ name }) => name)
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) === index) continue
      context.addIssue({ code: 'custom', path: ['issuer', index, 'name'], message: `${name} appears twice` })
    }
    // A rule that can never match would deny nothing, silently.
    const check = (table: string, all: readonly { readonly who: readonly Who[] }[]) => {
      for (const [index, { who }] of all.entries()) {
        for (const [place, one] of who.entries()) {
          if (one.kind !== 'issuer' || names.includes(one.name)) continue
          const message = `there is no [[issuer]] with the name ${one.name}`
          context.addIssue({ code: 'custom', path: [table, index, 'who', place], message })
        }
      }
    }
    check('rule', rules)
    check('quota', quotas)
  })

/**
 * Reads the text of a policy, in TOML.
 * @throws an Error that reports the line and field of every problem
 */
export function parsePolicy(text: string): PolicyFile {
  const { rule: rules, issuer: issuers, quota: quotas } = checked(text, parsedToml(text))
  return {
    rules: rules.map((one, index) => ({ ...one, line: lineOf(text, ['rule', index]) })),
    issuers,
    quotas,
  }
}

function parsedToml(text: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [reason = ''] = error.message.replace(/^Invalid TOML document: /, '').split('\n')
    throw new Error(`line ${error.line}, column ${error.column}: ${reason}`, { cause: error })
  }
}

function checked(text: string, value: unknown): z.infer<typeof form> {
  const read = form.safeParse(value)
  if (read.success) return read.data
  const problems = read.error.issues.map((issue) => {
    const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0] ?? ''] : issue.path
    return `line ${lineOf(text, path)}, ${nameOf(path)}: ${issue.message}`
  })
  throw new Error(problems.join('; '))
}

/** `rule 2, may 1` for the path `['rule', 1, 'may', 0]`. */
const nameOf = (path: readonly PropertyKey[]): string =>
  path
    .map((part) => (typeof part === 'number' ? ` ${part + 1}` : `, ${String(part)}`))
    .join('')
    .replace(/^, /, '')

/**
 * The line of a field in a file of tables `[[table]]` with fields below them; for a missing field, the line of its
 * table. (The parser only reports the positions of its own errors.)
 */
function lineOf(text: string, [table, index, field]: readonly PropertyKey[]): number {
  const lines = text.split('\n')
  const header = (line: string): boolean =>
    new RegExp(`^\\s*\\[\\[?\\s*${RegExp.escape(String(table))}\\s*\\]`).test(line)
  const begins = lines.flatMap((line, at) => (header(line) ? [at] : []))
  const begin = begins[typeof index === 'number' ? index : 0]
  if (begin === undefined)
    return Math.max(1, lines.findIndex((line) => line.trim().startsWith(String(table))) + 1)
  const named = (line: string): boolean =>
    new RegExp(`^\\s*"?${RegExp.escape(String(field))}"?\\s*=`).test(line)
  const length = lines.slice(begin + 1).findIndex((line) => /^\s*\[\[?[^\]]+\]/.test(line))
  const end = length === -1 ? lines.length : begin + 1 + length
  const at = field === undefined ? -1 : lines.slice(begin, end).findIndex(named)
  return begin + 1 + Math.max(at, 0)
}
