import type { Owner } from '../contents/entry.ts'

/** An entry of a base image's layer. Paths are byte strings (`latin1`) relative to the root: `etc/passwd`. */
export type BaseEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly owner: Owner }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly owner: Owner
      /** The contents of the files that are extended, as a byte string. */
      readonly text?: string
    }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  /** Removes the entry of lower layers at this path (a whiteout). */
  | { readonly kind: 'removed'; readonly path: string }
  /** Removes the entries of lower layers in this directory (an opaque whiteout). */
  | { readonly kind: 'emptied'; readonly path: string }

/** Files of a base that images built on it extend, by path. */
export const extendedFiles: ReadonlySet<string> = new Set([
  'etc/passwd',
  'etc/group',
  'etc/shadow',
  'etc/gshadow',
  'etc/shells',
])
