import type { ApiKey } from '../catalog/catalog.ts'
import { makeApiKey, reasonAgainst } from './api-key.ts'

/** The fields of the form for a new API key, as texts. */
export type KeyRequest = {
  /** The user that the key stands for. */
  readonly name: string
  /** Separated by commas. */
  readonly groups: string
  /** Such as `12h` or `90d`, or `never`. */
  readonly expires: string
}

/** What may be known of a key. Times are as in ISO 8601. */
export type ShownKey = {
  readonly id: string
  readonly name: string
  readonly groups: readonly string[]
  readonly created: string
  readonly expires: string | undefined
  readonly state: 'valid' | 'revoked' | 'expired'
}

/** The reason for refusing a key, and what to do about it. */
export type KeyProblem = {
  readonly field: 'name' | 'expires'
  readonly message: string
  readonly hint: string
}

const day = 24 * 3600
// A day for tests of a pipeline, years for an appliance.
const longestExpiry = 3650 * day

/**
 * Makes a key.
 * @param now seconds since 1970
 * @returns the text for the client and what is stored of it, or the problem
 */
export function newKey(
  { name, groups, expires }: KeyRequest,
  now: number,
): { readonly key: string; readonly stored: Omit<ApiKey, 'revokedAt'> } | { readonly problem: KeyProblem } {
  const problem = problemOfName(name) ?? problemOfExpiry(expires)
  if (problem) return { problem }
  const seconds = secondsOf(expires)
  const { key, id, hash } = makeApiKey()
  return {
    key,
    stored: {
      id,
      name,
      hash,
      groups: groups.split(',').flatMap((group) => group.trim() || []),
      createdAt: now,
      ...(seconds !== undefined && { expiresAt: now + seconds }),
    },
  }
}

/** @param now seconds since 1970 */
export const shownKey = (key: ApiKey, now: number): ShownKey => ({
  id: key.id,
  name: key.name,
  groups: key.groups,
  created: dateOf(key.createdAt),
  expires: key.expiresAt === undefined ? undefined : dateOf(key.expiresAt),
  state: reasonAgainst(key, now) ?? 'valid',
})

const dateOf = (seconds: number): string => new Date(seconds * 1000).toISOString()

// What rules and logs can show; a colon would be taken for the end of the name in Basic credentials.
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._@/+-]{0,127}$/

function problemOfName(name: string): KeyProblem | undefined {
  if (nameForm.test(name)) return undefined
  return {
    field: 'name',
    message: `${JSON.stringify(name)} is not a valid name for a key`,
    hint: 'letters, digits and ._@/+- are allowed, up to 128',
  }
}

function problemOfExpiry(text: string): KeyProblem | undefined {
  const seconds = secondsOf(text)
  if (text === 'never' || (seconds !== undefined && seconds > 0 && seconds <= longestExpiry)) return undefined
  return {
    field: 'expires',
    message: `${JSON.stringify(text)} is not a valid duration`,
    hint: 'such as 12h or 90d, up to 3650d, or never',
  }
}

/** Seconds; undefined for what is not a number of hours or days. */
function secondsOf(text: string): number | undefined {
  const { count, unit } = /^(?<count>\d{1,6})(?<unit>[hd])$/.exec(text)?.groups ?? {}
  return count === undefined ? undefined : Number(count) * (unit === 'd' ? day : 3600)
}
