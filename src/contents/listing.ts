import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { FileInfo } from './contents.ts'
import type { Entry, FileReader } from './entry.ts'
import { programHeadSize, programOf } from './contents.ts'

/**
 * The listing of a store path as plain data: a folder is its sorted names with their entries, a link its target, a file
 * 0, or the part of its bytes that is needed. Texts are byte strings (`latin1`).
 */
type Node = Folder | string | 0 | Kept
type Folder = (readonly [name: string, node: Node])[]
type Kept = {
  /** The first bytes, of a program or script. */
  readonly head?: string
  /** The whole contents of a file in `nix-support` that other packages read. */
  readonly text?: string
}

/** The listing of one store path. */
export type Listing = {
  /** The entry at a path below the store path, `''` for itself; links are not followed. */
  look(path: string): FileInfo | undefined
  /** The names in a folder; undefined if it is not a folder. */
  list(path: string): string[] | undefined
  /** The whole contents of a `nix-support/propagated-*` file, as a byte string; undefined for any other. */
  text(path: string): string | undefined
}

/** Increment this when the format of listings changes. */
const version = 1
/** The maximum size of a listing's text in bytes, before compression. */
const largestListing = 32 * 1024 * 1024

const propagated = /^nix-support\/propagated-[\w-]+$/
const largestText = 1 << 17

/** Records the listing of a path while another reader reads its entries. */
export function recordListing(
  entries: Iterable<Entry>,
  largest = largestListing,
): {
  readonly entries: Iterable<Entry>
  /**
   * The listing in the format of `parseListing`, after all entries have been read; undefined if it is too large to be
   * stored.
   */
  readonly text: () => string | undefined
} {
  let root: Node | undefined
  let rootPath = ''
  const open: { readonly path: string; readonly folder: Folder }[] = []

  /** The approximate length of the text so far. Longer texts are not collected, because threads have little memory. */
  let written = 0
  const place = (path: string): ((node: Node) => void) => {
    if (root === undefined) {
      rootPath = path
      return (node) => void (root = node)
    }
    while (open.length > 1 && !path.startsWith(`${open.at(-1)?.path ?? ''}/`)) open.pop()
    const folder = open.at(-1)?.folder
    if (!folder) throw new Error(`nothing can lie at ${path}`)
    const index = folder.length
    const name = path.slice(path.lastIndexOf('/') + 1)
    folder.push([name, 0])
    return (node) => void (folder[index] = [name, node])
  }

  function* noting(): Generator<Entry> {
    for (const entry of entries) {
      written += entry.path.length - entry.path.lastIndexOf('/') + 4
      if (entry.kind === 'symlink') written += entry.target.length
      const textSize = textSizeOf(entry, rootPath)
      written += textSize ?? 0
      if (written > largest) {
        root = undefined
        open.length = 0
        yield entry
        continue
      }
      const put = place(entry.path)
      if (entry.kind === 'directory') {
        const folder: Folder = []
        put(folder)
        open.push({ path: entry.path, folder })
        yield entry
      } else if (entry.kind === 'symlink') {
        put(entry.target)
        yield entry
      } else if ('bytes' in entry.content) throw new Error('a store path is read from somewhere')
      else {
        put(0)
        const { size } = entry.content
        const capture = captured(
          entry.content.open.bind(entry.content),
          textSize ?? programHeadSize,
          (bytes) => {
            const kept = keptOf(bytes, textSize !== undefined)
            if (kept) put(kept)
          },
        )
        yield { ...entry, content: { size, open: capture } }
      }
    }
  }
  return {
    entries: noting(),
    text() {
      if (written > largest) return undefined
      const text = JSON.stringify([version, root ?? []])
      return text.length > largest ? undefined : zstdCompressSync(text).toString('base64')
    },
  }
}

/** The size of a file that listings contain completely; undefined for any other entry. */
function textSizeOf(entry: Entry, rootPath: string): number | undefined {
  if (entry.kind !== 'file' || 'bytes' in entry.content) return undefined
  const { size } = entry.content
  return propagated.test(entry.path.slice(rootPath.length + 1)) && size <= largestText ? size : undefined
}

/** Passes a stream on, and reports its first bytes when they are complete. */
function captured(open: () => FileReader, wanted: number, tell: (bytes: Buffer) => void): () => FileReader {
  return () => {
    const reader = open()
    const first = Buffer.alloc(wanted)
    let have = 0
    return {
      read(into) {
        const got = reader.read(into)
        if (have < wanted && got > 0) {
          const count = Math.min(got, wanted - have)
          first.set(into.subarray(0, count), have)
          have += count
        }
        return got
      },
      close() {
        tell(first.subarray(0, have))
        reader.close()
      },
    }
  }
}

function keptOf(bytes: Buffer, isText: boolean): Kept | undefined {
  if (isText) return { text: bytes.toString('latin1') }
  const start = bytes.toString('latin1')
  return start.startsWith('#!') || start.startsWith('\x7fELF') ? { head: start } : undefined
}

/** Parses a stored listing; undefined if this version cannot read it; then it is computed again. */
export function parseListing(text: string): Listing | undefined {
  try {
    const bytes = zstdDecompressSync(Buffer.from(text, 'base64'), { maxOutputLength: 4 * largestListing })
    const parsed: unknown = JSON.parse(bytes.toString())
    if (!Array.isArray(parsed) || parsed[0] !== version) return undefined
    return listingOf(parsed[1] as Node)
  } catch {
    return undefined
  }
}

function listingOf(root: Node): Listing {
  // Names in folders are looked up repeatedly.
  const names = new Map<Folder, Map<string, Node>>()
  const childrenOf = (folder: Folder): Map<string, Node> => {
    const known = names.get(folder) ?? new Map(folder)
    names.set(folder, known)
    return known
  }
  const at = (path: string): Node | undefined => {
    let here: Node | undefined = root
    for (const name of path.split('/')) {
      if (name === '') continue
      here = Array.isArray(here) ? childrenOf(here).get(name) : undefined
    }
    return here
  }
  return {
    look(path) {
      const node = at(path)
      if (node === undefined) return undefined
      if (typeof node === 'string') return { kind: 'symlink', target: node }
      if (Array.isArray(node)) return { kind: 'directory' }
      const head = node === 0 ? undefined : node.head
      return {
        kind: 'file',
        program: head === undefined ? undefined : programOf(Buffer.from(head, 'latin1')),
      }
    },
    list(path) {
      const node = at(path)
      return Array.isArray(node) ? node.map(([name]) => name) : undefined
    },
    text(path) {
      const node = at(path)
      return typeof node === 'object' && !Array.isArray(node) ? node.text : undefined
    },
  }
}
