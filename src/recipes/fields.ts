import { z } from 'zod'
import { formatPinned, isPinned, parseBase } from '../image/base.ts'
import { encodeAttribute } from '../image/command-line.ts'
import { isRecipeName, recipeNameRule } from '../image/recipes.ts'

// The types of recipe fields. Error messages say what to write instead.

/** The limits of a recipe, documented in docs/recipes.md. */
export const limits = { items: 200, text: 32_768, files: 1000, fileBytes: 16 * 1024 * 1024 } as const

const checked = (rule: (text: string) => string | undefined) =>
  z.string({ error: 'must be a text in quotes' }).superRefine((value, context) => {
    const problem =
      value.length > limits.text ? `has at most ${limits.text} characters` : (noNul(value) ?? rule(value))
    if (problem !== undefined) context.addIssue(problem)
  })

const noNul = (value: string): string | undefined =>
  value.includes('\0') ? 'must not contain a NUL character' : undefined

export const text = checked(() => undefined)

const list = <T extends z.ZodType>(item: T, what: string) =>
  z
    .array(item, { error: `must be a list of ${what}: ["…"]` })
    .max(limits.items, `has at most ${limits.items} items`)

/** A command with its arguments. */
export const command = list(text, 'words, the program first')

const attribute = z
  .string({ error: 'must be the name of a package in quotes' })
  .transform((name, context) => {
    try {
      return encodeAttribute(name)
    } catch {
      context.addIssue(
        `${JSON.stringify(name)} is not the name of a package, such as "git" or "python3Packages.requests"`,
      )
      return z.NEVER
    }
  })

export const packages = list(
  z.union([attribute, z.tuple([attribute], attribute)], {
    error:
      'must be the name of a package, such as "git", or a list of names, the first of which that exists is used',
  }),
  'names of packages',
)

export const recipeNames = list(
  checked((name) => (isRecipeName(name) ? undefined : recipeNameRule)),
  'names of recipes',
)

const record = <T extends z.ZodType>(
  keyProblem: (key: string) => string | undefined,
  value: T,
  what: string,
) =>
  z.record(z.string(), value, { error: `must be a table of ${what}` }).superRefine((entries, context) => {
    const keys = Object.keys(entries)
    if (keys.length > limits.items) context.addIssue(`has at most ${limits.items} entries`)
    for (const key of keys) {
      const problem = keyProblem(key)
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem, path: [key] })
    }
  })

/** environ(7): a name has no `=`, and neither name nor value has a NUL. */
export const variables = record(
  (name) => {
    if (name === '') return 'the name of a variable is empty'
    return /[=\0]/.test(name) ? `the name ${JSON.stringify(name)} must not contain "=" or NUL` : undefined
  },
  text,
  'names and values in quotes',
)

export const labels = record(
  (name) => (name === '' ? 'the name of a label is empty' : noNul(name)),
  text,
  'names and values in quotes',
)

/** OCI image spec, config.md, "ExposedPorts". */
export const ports = list(
  z
    .union([z.int().transform(String), z.string()], { error: 'must be a port, such as "8080/tcp"' })
    .transform((port, context) => {
      const { number, protocol = 'tcp' } =
        /^(?<number>\d{1,5})(?:\/(?<protocol>tcp|udp|sctp))?$/.exec(port)?.groups ?? {}
      if (Number(number) >= 1 && Number(number) <= 65_535) return `${Number(number)}/${protocol}`
      context.addIssue(`${JSON.stringify(port)} is not a port, such as "8080/tcp" or "53/udp"`)
      return z.NEVER
    }),
  'ports',
)

/** Why a text cannot be a path in an image; undefined if it can. */
export function pathProblem(path: string): string | undefined {
  const parts = path.split('/').slice(1)
  if (!path.startsWith('/')) return `${JSON.stringify(path)} must be absolute: begin it with "/"`
  if (parts.includes('..')) return `${JSON.stringify(path)} must not contain "..": write where it leads`
  if (parts.some((part) => part === '' || part === '.')) {
    return `${JSON.stringify(path)} must not be "/", end with "/", or contain "//" or "/./"`
  }
  if (parts.some((part) => part.startsWith('.wh.')))
    return 'no name may begin with ".wh.", which means a deletion to runtimes'
  if (Buffer.byteLength(path) > 4095 || parts.some((part) => Buffer.byteLength(part) > 255))
    return 'is too long for a path'
  const [top = '', next] = parts
  if (['dev', 'proc', 'sys'].includes(top))
    return `/${top} is mounted by the container runtime: choose another place`
  if (top === 'nix' && (next === undefined || next === 'store'))
    return 'the Nix store has packages only: choose another place'
  return undefined
}

export const path = checked((value) => pathProblem(value))
export const paths = list(path, 'absolute paths')
/** As a path, or `/`. */
export const folder = checked((value) => (value === '/' ? undefined : pathProblem(value)))

/** chmod(1): up to four octal digits, as a text, since TOML and JSON would take 0644 or 644 for a decimal number. */
export const mode = z
  .string({ error: 'must be an octal number in quotes, such as "0644"' })
  .transform((digits, context) => {
    if (/^[0-7]{3,4}$/.test(digits)) return digits.padStart(4, '0')
    const isAbove = /^[0-7]{5,}$/.test(digits)
    context.addIssue(
      isAbove
        ? `${digits} is above 7777, the highest mode`
        : `${JSON.stringify(digits)} is not a mode, such as "0644"`,
    )
    return z.NEVER
  })

const mostId = 4_294_967_294
/** A user or group id: 32 bits, except the highest value, which means "none". */
export const id = z
  .int({ error: `must be a whole number from 0 to ${mostId}` })
  .min(0, `must be a whole number from 0 to ${mostId}`)
  .max(mostId, `must be a whole number from 0 to ${mostId}`)

/** useradd(8). */
const accountName = /^[a-z_][a-z0-9_-]{0,30}[a-z0-9_$-]?$/
export const account = checked((name) =>
  accountName.test(name)
    ? undefined
    : `${JSON.stringify(name)} is not a name: lower-case letters, digits, "_" and "-", at most 32, a letter first`,
)
export const accountNames = list(account, 'names of groups')

/** OCI image spec, config.md, "User". */
export const user = checked((value) => {
  const [name = '', group, ...more] = value.split(':')
  const isValid = (part: string) =>
    /^\d{1,10}$/.test(part) ? Number(part) <= mostId : accountName.test(part)
  return more.length === 0 && isValid(name) && (group === undefined || isValid(group))
    ? undefined
    : `${JSON.stringify(value)} is not a user, such as "app", "1000" or "app:app"`
})

/** A field of passwd(5). */
export const passwdPath = checked((value) =>
  !value.startsWith('/') || /[:\n]/.test(value)
    ? `${JSON.stringify(value)} must be an absolute path without ":"`
    : undefined,
)

export const stopSignal = z
  .union([z.int().transform(String), z.string()], { error: 'must be a signal, such as "SIGTERM"' })
  .transform((signal, context) => {
    if (/^SIG[A-Z0-9]+([+-]\d+)?$/.test(signal) || /^[1-9]\d?$/.test(signal)) return signal
    context.addIssue(`${JSON.stringify(signal)} is not a signal, such as "SIGTERM"`)
    return z.NEVER
  })

const seconds = z
  .number({ error: 'must be a number of seconds, such as 30' })
  .min(0.001, 'must be at least 0.001 seconds')
  .max(86_400, 'must be at most 86400 seconds')

export const healthcheck = z.strictObject(
  {
    command: z.union([text.min(1), command.min(1)], {
      error: 'must be a list of words, or a text for the shell',
    }),
    interval: seconds.optional(),
    timeout: seconds.optional(),
    startPeriod: seconds.optional(),
    retries: z.int({ error: 'must be a whole number' }).min(1).max(1000).optional(),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table with a command' : undefined) },
)

/** A pinned base image; its normal form has no tag. */
export const base = z
  .string({ error: 'must be a text in quotes' })
  .max(limits.text)
  .transform((given, context) => {
    const found = parseBase(given)
    if (found && isPinned(found)) return formatPinned(found)
    context.addIssue(
      found
        ? `${given} is not pinned, so it may change: run \`nixery recipe lock\`, which appends its digest`
        : `${JSON.stringify(given)} is not an image in a registry, such as "docker.io/library/debian:12@sha256:…"`,
    )
    return z.NEVER
  })

export const flag = z.boolean({ error: 'must be true or false' })
