import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs'
import { systemErrorCode } from '../errors.ts'

/**
 * A file, folder or link below a folder, with its relative path. Paths and targets of links are byte strings (`latin1`:
 * one character is one byte), because a file system allows any byte in them.
 */
export type WalkedFile = { readonly path: string; readonly stat: BigIntStats; readonly target: string }

/** The result of a walk over a tree. */
export type Walked = {
  /** Changes when anything in the tree does. */
  readonly fingerprint: string
  /** The latest ctime of anything but folders, in nanoseconds since 1970; 0 if there is nothing. */
  readonly newest: bigint
}

/**
 * Walks over a tree: names, kinds, modes, sizes, ctimes, and targets of links, which are not followed. Contents are not
 * read, because a change of content always changes the ctime. `.git` is skipped, since a commit changes no package.
 * Files that vanish during the walk are ignored; folders without read permission count as empty.
 *
 * Synchronous, for a thread of its own: promises take eight times as long.
 * @param root a folder, or a single file
 * @param visit called for everything in the tree, in byte order
 * @throws the failed system call, if the root cannot be read, or if anything but a missing permission stops the walk, such
 *   as a lack of file descriptors or an I/O error
 */
export function walk(root: string, visit: (file: WalkedFile) => void = () => {}): Walked {
  const sha256 = createHash('sha256')
  let newest = 0n
  let text = ''
  const write = (line: string) => {
    text += line
    if (text.length < 65_536) return
    sha256.update(text, 'latin1')
    text = ''
  }

  const look = (full: string, path: string): void => {
    const stat = ifThere(() => lstatSync(onDisk(full), { bigint: true }))
    if (!stat) return
    if (stat === closed) return write(`[${JSON.stringify(path)},"closed"]\n`)
    const isFolder = stat.isDirectory()
    const target = stat.isSymbolicLink()
      ? ifThere(() => readlinkSync(onDisk(full), { encoding: 'latin1' }))
      : ''
    if (!isFolder && stat.ctimeNs > newest) newest = stat.ctimeNs
    const facts = isFolder ? `"${stat.mode}"` : `"${stat.mode}","${stat.size}","${stat.ctimeNs}"`
    write(`[${JSON.stringify(path)},${JSON.stringify(target ?? '')},[${facts}]]\n`)
    visit({ path, stat, target: typeof target === 'string' ? target : '' })
    if (!isFolder) return
    const names = ifThere(() => namesIn(full))
    if (names === closed) write(`[${JSON.stringify(path)},"closed"]\n`)
    else if (names) below(names, full, `${path}/`)
  }
  const below = (names: readonly string[], full: string, path: string) => {
    for (const name of names) if (name !== '.git') look(`${full}/${name}`, path + name)
  }

  const bytes = Buffer.from(root).toString('latin1')
  if (lstatSync(root).isDirectory()) below(namesIn(bytes), bytes, '')
  else look(bytes, '')
  sha256.update(text, 'latin1')
  return { fingerprint: sha256.digest('hex'), newest }
}

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
