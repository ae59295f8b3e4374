import type { Owner } from '../contents/entry.ts'

/** What a layer of a base image says of a path. Paths are byte strings (`latin1`) from the root: `etc/passwd`. */
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
  /** What lower layers have at this path is not there. */
  | { readonly kind: 'removed'; readonly path: string }
  /** What lower layers have in this directory is not there. */
  | { readonly kind: 'emptied'; readonly path: string }

/** Files of a base that an image on it extends, by path. */
export const extendedFiles: ReadonlySet<string> = new Set([
  'etc/passwd',
  'etc/group',
  'etc/shadow',
  'etc/gshadow',
  'etc/shells',
])
