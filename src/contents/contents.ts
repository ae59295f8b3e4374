import type { Platform } from '../image/platform.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import type { PartialDemand } from '../queue/demand.ts'

/**
 * A source of the contents of store paths. Packing and the tree of links use only this interface, so a binary cache can
 * replace the store of this machine. `conformance.ts` tests every implementation.
 *
 * Paths below a store path are byte strings (`latin1`), as in `Entry`.
 */
export type Contents = Listings & {
  /** The facts of all paths in the closure of these. @throws BUILD_FAILED for a path that is not valid */
  facts(paths: readonly StorePath[], options: FactsOptions): Promise<PathFacts[]>
  /** Makes store paths available to be read from start to end, by one thread at a time. */
  open(paths: readonly StorePath[], demand: PartialDemand): Promise<OpenPaths>
  /** Whether the listing of a path is known only after it has been read completely, and is stored from then on. */
  readonly isReadFirst?: boolean
  /** Hears of the listing of a path that has been read, so that it is not looked up where it is kept. */
  readonly learn?: (path: StorePath, listing: string) => void
}

/** The directory structure of store paths: enough for the tree of links, and small enough to be stored. */
export type Listings = {
  /**
   * The entry at or below a store path; undefined if it does not exist. Links are not followed, and `path` must not
   * lead through any: see `follow`.
   */
  look(path: string): Promise<FileInfo | undefined>
  /** The names in a directory, in any order. `path` is as for `look`, and must be a directory. */
  list(path: string): Promise<string[]>
  /** The first bytes of a file, at most `most`. `path` is as for `look`, and must be a file. */
  read(path: string, most: number): Promise<Buffer>
}

export type FileInfo =
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'file'; readonly program: Program | undefined }

/** The kind of a program, by its first bytes: a script, or an ELF file for an architecture of images. */
export type Program = 'script' | Platform['architecture']

export type FactsOptions = PartialDemand & { readonly onLine?: (line: string) => void }

/**
 * What a packing thread needs to read a store path, as plain data, because only that can be sent to a thread. To add a
 * kind of source, add a member to this union, and a line in `source.ts`.
 */
export type PathSource = { readonly storePath: StorePath } | { readonly nar: NarSource }

/** A NAR, which is verified while it is read. */
export type NarSource = {
  readonly storePath: StorePath
  /** A local file, or the bytes of a small one. */
  readonly content: { readonly file: string } | { readonly bytes: Uint8Array }
  readonly compression: 'none' | 'xz' | 'zstd'
  /** The hash (`sha256-<base64>`) and size in bytes of the NAR. */
  readonly narHash: string
  readonly narSize: number
  /** The binary cache that it came from. */
  readonly cache: string
}

/** Store paths that can be read. */
export type OpenPaths = {
  /** In the order of the paths. */
  readonly sources: readonly PathSource[]
  /** Releases the paths; they must no longer be read. */
  readonly close: () => Promise<void>
}

/** The store path that contains a path. */
export const storePathOf = (path: string): StorePath =>
  (/^\/nix\/store\/[^/]+/.exec(path)?.[0] ?? '') as StorePath

/**
 * Delays lookups until the paths have been read, if their listings are known only then.
 * @param reading settles when the listing of a path is known, at the latest; does not contain paths that no caller reads
 * @returns contents whose lookups of a path wait for `reading`, or for `learn` if that is called earlier
 */
export function afterReading(
  contents: Contents,
  reading: ReadonlyMap<StorePath, Promise<unknown>>,
): Contents {
  const learned = new Map<StorePath, PromiseWithResolvers<void>>()
  const learning = (path: StorePath) => {
    const one = learned.get(path) ?? Promise.withResolvers<void>()
    learned.set(path, one)
    return one
  }
  const read = async (path: string) => {
    const storePath = storePathOf(path)
    const until = reading.get(storePath)
    if (until) await Promise.race([until, learning(storePath).promise])
  }
  return {
    ...contents,
    learn(path, text) {
      contents.learn?.(path, text)
      learning(path).resolve()
    },
    async look(path) {
      await read(path)
      return contents.look(path)
    },
    async list(path) {
      await read(path)
      return contents.list(path)
    },
    async read(path, most) {
      await read(path)
      return contents.read(path, most)
    },
  }
}

/** The bytes at the start of a file that identify its format. */
export const programHeadSize = 20

// e_machine of the ELF header (System V ABI; EM_X86_64, EM_AARCH64).
const machines: ReadonlyMap<number, Program> = new Map([
  [62, 'amd64'],
  [183, 'arm64'],
])

/** @param head the first bytes of a file, up to `programHeadSize` */
export function programOf(head: Buffer): Program | undefined {
  if (head.subarray(0, 2).toString('latin1') === '#!') return 'script'
  const isElf = head.length >= programHeadSize && head.subarray(0, 4).toString('latin1') === '\x7fELF'
  return isElf ? machines.get(head.readUInt16LE(18)) : undefined
}
