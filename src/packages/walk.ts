import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs'
import { systemErrorCode } from '../errors.ts'

/**
 * A file, folder or link below a folder, with its relative path. Paths and targets of links are byte strings (`latin1`:
 * one character is one byte), because a file system allows any byte in them.
 */
export type WalkedFile = { readonly path: string; readonly stat: BigIntStats; readonly target: string }

/** The result of a walk over a tree. */
export type TreeState = {
  /** Changes when anything in the tree does. */
  readonly fingerprint: string
  /** The latest ctime of anything but folders, in nanoseconds since 1970; 0 if there is nothing. */
  readonly newest: bigint
}

/** A folder in a tree that is being walked, by its full and its relative path (which ends in `/`), as byte strings. */
export type Folder = { readonly full: string; readonly path: string }

/** Receives what a walk finds, in its order. */
export type Visitor = {
  /** A line of the text whose hash is the fingerprint. */
  line(text: string): void
  /** Called for everything in the tree. */
  visit?(file: WalkedFile): void
  /** Called for each folder, instead of walking over what is in it. */
  folder(folder: Folder): void
}

/**
 * Walks over a tree: names, kinds, modes, sizes, ctimes, and targets of links, which are not followed. Contents are not
 * read, because a change of content always changes the ctime. `.git` is skipped, since a commit changes no package.
 * Files that vanish during the walk are ignored; folders without read permission count as empty.
 *
 * Synchronous, for a separate thread: promises take eight times as long.
 * @param root a folder, or a single file
 * @param visit called for everything in the tree, in byte order
 * @throws the failed system call, if the root cannot be read, or if anything but a missing permission stops the walk, such
 *   as a lack of file descriptors or an I/O error
 */
export function walk(root: string, visit: (file: WalkedFile) => void = () => {}): TreeState {
  const text = createText()
  let newest = 0n
  const visitor: Visitor = {
    line: text.write,
    visit(file) {
      newest = later(newest, file)
      visit(file)
    },
    folder: (folder) => lookIn(folder, visitor),
  }
  lookAtRoot(root, visitor)
  return { fingerprint: text.digest(), newest }
}

/** The later of a time and the ctime of a file; those of folders do not count. */
export const later = (newest: bigint, { stat }: WalkedFile): bigint =>
  !stat.isDirectory() && stat.ctimeNs > newest ? stat.ctimeNs : newest

/** A text of which only the hash is computed. */
export function createText(): { readonly write: (line: string) => void; readonly digest: () => string } {
  const sha256 = createHash('sha256')
  let text = ''
  const flush = () => {
    sha256.update(text, 'latin1')
    text = ''
  }
  return {
    write(line) {
      text += line
      if (text.length >= 65_536) flush()
    },
    digest() {
      flush()
      return sha256.digest('hex')
    },
  }
}

/** Examines what is directly in a folder, or a single file. @throws as `walk` does */
export function lookAtRoot(root: string, visitor: Visitor): void {
  const full = Buffer.from(root).toString('latin1')
  if (!lstatSync(root).isDirectory()) return lookAt(full, '', visitor)
  lookAtAll(namesIn(full), { full, path: '' }, visitor)
}

/** Examines what is directly in a folder below the root. @throws as `walk` does */
export function lookIn(folder: Folder, visitor: Visitor): void {
  const names = ifThere(() => namesIn(folder.full))
  if (names === closed) visitor.line(closedLine(folder.path.slice(0, -1)))
  else if (names) lookAtAll(names, folder, visitor)
}

function lookAtAll(names: readonly string[], { full, path }: Folder, visitor: Visitor): void {
  for (const name of names) if (name !== '.git') lookAt(`${full}/${name}`, path + name, visitor)
}

function lookAt(full: string, path: string, visitor: Visitor): void {
  const stat = ifThere(() => lstatSync(onDisk(full), { bigint: true }))
  if (!stat) return
  if (stat === closed) return visitor.line(closedLine(path))
  const isFolder = stat.isDirectory()
  const target = stat.isSymbolicLink()
    ? ifThere(() => readlinkSync(onDisk(full), { encoding: 'latin1' }))
    : ''
  const facts = isFolder ? `"${stat.mode}"` : `"${stat.mode}","${stat.size}","${stat.ctimeNs}"`
  visitor.line(`[${JSON.stringify(path)},${JSON.stringify(target ?? '')},[${facts}]]\n`)
  visitor.visit?.({ path, stat, target: typeof target === 'string' ? target : '' })
  if (isFolder) visitor.folder({ full, path: `${path}/` })
}

const closedLine = (path: string) => `[${JSON.stringify(path)},"closed"]\n`

/** A path for Node: paths that are not ASCII must be passed as bytes. */
export const onDisk = (path: string): string | Buffer =>
  /[\x80-\xff]/.test(path) ? Buffer.from(path, 'latin1') : path

const namesIn = (folder: string): string[] => readdirSync(onDisk(folder), { encoding: 'latin1' }).sort()

const closed = 'closed'
// The path does not exist, is below a former folder, or is no longer a link.
const gone: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EINVAL'])
// Nix, which runs as the same user, cannot read it either.
const forbidden: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM', 'ENAMETOOLONG'])

function ifThere<T>(read: () => T): T | typeof closed | undefined {
  try {
    return read()
  } catch (error) {
    const code = systemErrorCode(error)
    if (gone.has(code)) return undefined
    if (forbidden.has(code)) return closed
    throw error
  }
}
