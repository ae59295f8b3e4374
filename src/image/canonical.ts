import { hash } from 'node:crypto'
import { byText } from './store-path.ts'

/** A JSON value. `undefined` members are omitted, as in `JSON.stringify`. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json | undefined }

/** JSON with sorted keys and no spaces: equal values result in equal texts. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const members = Object.entries(value)
    .filter((entry): entry is [string, Json] => entry[1] !== undefined)
    .sort(([a], [b]) => byText(a, b))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}

/** The key of one kind of thing; keys of different kinds have different types. */
export type Key<Kind extends string = string> = string & { readonly __kind: Kind }

/**
 * The key under which a derived thing is stored: sha256 (hex) of the canonical JSON of its kind, its format version and
 * its inputs. Increment the version when the same inputs result in a different output.
 */
export const keyOf = <const Kind extends string>(kind: Kind, version: number, inputs: Json): Key<Kind> =>
  hash('sha256', canonicalJson({ kind, version, inputs })) as Key<Kind>
