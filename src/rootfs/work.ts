import type { Listings } from '../contents/contents.ts'
import type { Owner } from '../contents/entry.ts'
import type { Account, ImageFile } from '../image/contents.ts'
import type { Platform } from '../image/platform.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { oneLine } from '../text/plain.ts'

/**
 * What lies at `/` beside the store: names to links into it, directories, files of our own, and links from one place in
 * the image to another (`at`, absolute). Names and targets are byte strings (`latin1`), as in `Entry`.
 */
export type Tree = Map<string, Node>
export type Node =
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'alias'; readonly target: string; readonly at: string }
  | {
      readonly kind: 'directory'
      readonly children: Tree
      /** 0o755 if not given. */
      readonly mode?: number
      readonly owner?: Owner
    }
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly mode: number; readonly owner?: Owner }

/** What the last layer is made of. */
export type RootfsInput = {
  /** The outputs that are linked from `/bin`, `/etc` and so on, in winning order: the first one wins a conflict. */
  readonly packages: readonly StorePath[]
  /** All paths of the image, in byte order. */
  readonly closure: readonly PathFacts[]
  readonly platform: Platform
  /** The commit that the image is told to be from, for os-release: lower-case letters and digits. */
  readonly buildId?: string | undefined
  /** What recipes add. */
  readonly extra?: RootfsExtra | undefined
}

/** What recipes add to the last layer. */
export type RootfsExtra = {
  readonly accounts?: readonly Account[] | undefined
  readonly files?: readonly ImageFile[] | undefined
  readonly nixDatabase?: boolean | undefined
  /** Is made where it does not exist, for the user. */
  readonly workdir?: string | undefined
  readonly user?: string | undefined
}

/** What each step gets, and what it adds to. */
export type Work = RootfsInput & {
  readonly listings: Listings
  /** The store's folder: `/nix/store`. */
  readonly store: string
  readonly tree: Tree
  /** Variables that a container starts with, because of what is in the closure. The image's own config wins. */
  readonly env: Map<string, string>
  /** Tells the one who pulls. What comes from names in the tree must be `shown`. */
  readonly warn: (message: string) => void
}

// UTF-16 units of a path in a warning.
const mostShown = 300

/** A byte string of the tree for people: as text on one line, with a sign in place of what is not UTF-8. */
export const shown = (bytes: string): string => oneLine(Buffer.from(bytes, 'latin1').toString(), mostShown)
