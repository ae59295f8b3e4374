import { NixeryError } from '../errors.ts'

/** `/nix/store/<32 characters of base32>-<name>`, checked by `parseStorePath`. */
export type StorePath = string & { readonly __brand: 'StorePath' }

/** Nix's facts about a valid store path. They never change for a given `narHash`. */
export type PathFacts = {
  storePath: StorePath
  /** `sha256-<base64>` of the path's NAR serialisation. */
  narHash: string
  /** Bytes of the NAR serialisation. */
  narSize: number
  /** Sorted; may contain the path itself. */
  references: StorePath[]
}

// Nix's rule for names (libstore/path.cc), and its base32 alphabet, which lacks e, o, t and u.
const pattern = /^\/nix\/store\/[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9A-Za-z+\-._?=]{1,211}$/

/** Whether a text is the path of a store object, not of a file inside one. */
export const isStorePath = (text: string): text is StorePath => pattern.test(text)

/** @throws STORE_PATH_INVALID if the text is not the path of a store object */
export function parseStorePath(text: string): StorePath {
  if (isStorePath(text)) return text
  throw new NixeryError('STORE_PATH_INVALID', `not a Nix store path: ${JSON.stringify(text.slice(0, 300))}`)
}

const prefixLength = '/nix/store/'.length + 32 + 1

/** The name without directory and hash: `glibc-2.36`. */
export const storePathName = (path: StorePath): string => path.slice(prefixLength)

/** Compares by code units: the order of all names and paths, independent of locale. */
export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
