import { resolve } from 'node:path'
import { z } from 'zod'
import { isRegistryHost, isRepository } from '../image/repository.ts'
import { parseImageReference } from '../image/name.ts'
import { parseGoDuration } from '../store/go-duration.ts'

// The types of settings. Errors name the value and the expected form: `"60s" is not a whole number of seconds (1 to 604800)`.

/**
 * A value that `parse` reads from a setting's text. If it returns `undefined`, the text is rejected as not being
 * `what`, which also describes the value in the documentation.
 */
export const valueOf = <T>(what: string, parse: (text: string) => T | undefined) =>
  z
    .string()
    .transform((text, context) => {
      const value = parse(text)
      if (value !== undefined) return value
      context.addIssue(refusal(text, what))
      return z.NEVER
    })
    .meta({ form: what })

/** A whole number from `least` to `most`, both included; `what` names it for messages, such as `a port`. */
export const whole = (what: string, least: number, most: number) =>
  valueOf(`${what} (${least} to ${most})`, (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN
    return value >= least && value <= most ? value : undefined
  })

/** Seconds, up to a week. */
export const seconds = whole('a whole number of seconds', 1, 7 * 24 * 3600)

const anyText = z.string().min(1)
export const text = anyText.meta({ form: 'text' })

/** A path; relative paths are resolved against the working directory. */
export const folder = anyText.transform((path) => resolve(path)).meta({ form: 'a path' })

/** Items separated by spaces or commas. */
export const list = anyText.transform(itemsOf).meta({ form: 'items separated by spaces or commas' })

/** A list of at least one of these words. */
export const listOf = <const Word extends string>(words: readonly Word[]) =>
  valueOf(`a list of ${words.join(', ')}`, (value) => {
    const items = itemsOf(value).filter((item): item is Word => (words as readonly string[]).includes(item))
    return items.length > 0 && items.length === itemsOf(value).length ? items : undefined
  })

/** Patterns of full names of refs, in which `*` matches anything. */
export const refPatterns = valueOf('a list of full names of refs, such as refs/heads/*', (value) => {
  const items = itemsOf(value)
  const valid = items.every((item) => /^refs\/[\w./*+@-]+$/.test(item))
  return valid && items.length > 0 ? items : undefined
})

/** One of these words. */
export const oneOf = <const Word extends string>(...words: Word[]) =>
  z
    .enum(words, { error: ({ input }) => refusal(String(input), alternatives(words)) })
    .meta({ form: alternatives(words.map((word) => `\`${word}\``)) })

const yes: ReadonlySet<string> = new Set(['true', 'on', 'yes', 'y', '1', 'enabled'])
const no: ReadonlySet<string> = new Set(['false', 'off', 'no', 'n', '0', 'disabled'])
export const flag = valueOf('true or false', (value) => {
  const word = value.toLowerCase()
  return yes.has(word) ? true : no.has(word) ? false : undefined
})

/** A text that a regular expression matches. */
export const matching = (expression: RegExp, what: string) =>
  valueOf(what, (value) => (expression.test(value) ? value : undefined))

/** An http or https URL. */
export const httpUrl = valueOf('an http or https URL', (value) =>
  /^https?:$/.test(URL.parse(value)?.protocol ?? '') ? value : undefined,
)

/** A regular expression that must match as a whole. */
export const pattern = valueOf('a valid regular expression', (value) => {
  try {
    return new RegExp(`^(?:${value})$`)
  } catch {
    return undefined
  }
})

const units: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 }
/** Bytes, from a size such as `2TB`. */
export const size = valueOf('a size such as 500MB or 2TB (1 kB is 1000 bytes)', (value) => {
  const groups = /^(?<count>\d+(?:\.\d+)?)\s*(?<unit>[KMGT]?)B?$/i.exec(value)?.groups
  const bytes = Number(groups?.['count']) * (units[(groups?.['unit'] ?? '').toUpperCase()] ?? NaN)
  return Number.isFinite(bytes) && bytes >= 1 ? Math.floor(bytes) : undefined
})

/** Seconds, from a duration in Go's syntax. */
export const duration = valueOf('a duration of at least a second, such as 5m or 1h30m', (value) => {
  const parsed = parseGoDuration(value)
  return parsed !== undefined && parsed >= 1 ? parsed : undefined
})

/** A number of days, fractions allowed. */
export const days = valueOf('a number of days, such as 30 or 0.5', (value) =>
  /^\d{1,6}(\.\d+)?$/.test(value) ? Number(value) : undefined,
)

/** Registries, or folders in them: `docker.io quay.io/team`. */
export const registryPlaces = valueOf(
  'a list of registries, or folders in them, such as docker.io/library registry.example:5000',
  (value) => {
    const items = itemsOf(value).map((item) => item.replace(/\/+$/, ''))
    return items.every(isPlace) ? items : undefined
  },
)

function isPlace(place: string): boolean {
  const slash = place.indexOf('/')
  const [host, rest] = slash === -1 ? [place, undefined] : [place.slice(0, slash), place.slice(slash + 1)]
  return isRegistryHost(host) && (rest === undefined || isRepository(rest))
}

/** Names of images, with tags where wanted. */
export const imageReferences = valueOf(
  'a list of image names, such as shell/git shell/python3:v2',
  (value) => {
    const items = itemsOf(value)
    return items.every(isImageReference) ? items : undefined
  },
)

function itemsOf(value: string): string[] {
  return value.split(/[\s,]+/).filter((item) => item !== '')
}

function isImageReference(name: string): boolean {
  try {
    parseImageReference(name)
    return true
  } catch {
    return false
  }
}

const mostShown = 80

/** A value for messages: short, on one line, without credentials in URLs. */
function refusal(value: string, what: string): string {
  const clean = value.replace(/:\/\/[^/@\s]+@/g, '://').replace(/\?.*/s, '?…')
  const shown = clean.length > mostShown ? `${clean.slice(0, mostShown)}…` : clean
  return `${JSON.stringify(shown)} is not ${what}`
}

const alternatives = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
