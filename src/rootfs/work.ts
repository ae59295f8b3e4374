import type { Listings } from '../contents/contents.ts'
import type { Owner } from '../contents/entry.ts'
import type { Account, ImageFile } from '../image/contents.ts'
import type { Platform } from '../image/platform.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import type { BaseEntry } from './base-entry.ts'
import { oneLine } from '../text/plain.ts'

/**
 * The root directory without the store: links into the store, directories, files, and aliases, which link to another place
 * in the image (`at`, absolute). Names and targets are byte strings (`latin1`), as in `Entry`.
 */
export type Tree = Map<string, Node>
export type Node =
  | { readonly kind: 'link'; readonly target: string }
  /** Set if it is an entry of the base, which exists already. */
  | { readonly kind: 'alias'; readonly target: string; readonly at: string; readonly inBase?: true }
  | {
      readonly kind: 'directory'
      readonly children: Tree
      /** 0o755 by default. */
      readonly mode?: number
      readonly owner?: Owner
      /** Whether the base has it with this mode and owner. */
      readonly inBase?: true
    }
  /**
   * A file of the base, or a link that does not lead to a directory; it exists already. `text` is the contents of a
   * file to extend.
   */
  | { readonly kind: 'base'; readonly mode?: number; readonly owner?: Owner; readonly text?: string }
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly mode: number; readonly owner?: Owner }

/** The input of the last layer. */
export type RootfsInput = {
  /** The outputs that are linked into `/bin`, `/etc` and so on, in order of precedence. */
  readonly packages: readonly StorePath[]
  /** All paths of the image, in byte order. */
  readonly closure: readonly PathFacts[]
  readonly platform: Platform
  /** The commit for os-release: lower-case letters and digits. */
  readonly buildId?: string | undefined
  /** The contributions of recipes. */
  readonly extra?: RootfsExtra | undefined
  /** The entries of the base's layers, the lowest first. */
  readonly base?: readonly (readonly BaseEntry[])[] | undefined
}

/** The contributions of recipes to the last layer. */
export type RootfsExtra = {
  readonly accounts?: readonly Account[] | undefined
  readonly files?: readonly ImageFile[] | undefined
  readonly nixDatabase?: boolean | undefined
  /** Created for the user if it does not exist. */
  readonly workdir?: string | undefined
  readonly user?: string | undefined
}

/** The state that the steps share. */
export type Work = RootfsInput & {
  readonly listings: Listings
  /** The store folder, `/nix/store`. */
  readonly store: string
  readonly tree: Tree
  /** Environment variables that depend on the closure. The image's own config takes precedence. */
  readonly env: Map<string, string>
  /** Adds a warning for users. Names from the tree must be passed through `shown`. */
  readonly warn: (message: string) => void
}

// The longest path in a warning, in UTF-16 units.
const maxShown = 300

/** Converts a byte string to text on one line, with replacement characters for invalid UTF-8. */
export const shown = (bytes: string): string => oneLine(Buffer.from(bytes, 'latin1').toString(), maxShown)
