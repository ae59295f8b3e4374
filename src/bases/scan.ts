import { extendedFiles, type BaseEntry } from '../rootfs/base-entry.ts'
import { BaseProblem } from './errors.ts'
import { createTarReader, type TakeContent, type TarEntry } from './tar.ts'

/** The remaining limits for reading the layers of a base. */
export type ScanRoom = {
  /** Uncompressed bytes. */
  bytes: number
  entries: number
  /** Bytes of all names and targets, and of the extended files. */
  names: number
}

/**
 * A view of the limits for an attempt that may fail while others use the same limits.
 * @returns the view, and `undo`, which releases what was used through it
 */
export function attemptIn(room: ScanRoom): { readonly room: ScanRoom; undo(): void } {
  const taken: ScanRoom = { bytes: 0, entries: 0, names: 0 }
  const resources = ['bytes', 'entries', 'names'] as const
  const view = { ...room }
  for (const resource of resources) {
    Object.defineProperty(view, resource, {
      get: () => room[resource],
      set(left: number) {
        taken[resource] += room[resource] - left
        room[resource] = left
      },
    })
  }
  return {
    room: view,
    undo() {
      for (const resource of resources) room[resource] += taken[resource]
    },
  }
}

/**
 * Subtracts an entry from the limits.
 * @throws BaseProblem if they are exceeded
 */
export function takeRoom(
  room: ScanRoom,
  { path, target = '', text = 0 }: { path: string; target?: string; text?: number },
  mostEntries: number,
): void {
  room.entries -= 1
  if (room.entries < 0) throw new BaseProblem(`it has more than ${mostEntries} files: use a smaller base`)
  room.names -= path.length + target.length + text
  if (room.names < 0)
    throw new BaseProblem('the names of its files are too long in total: use a smaller base')
}

// The maximum bytes of a path, as in Linux (PATH_MAX), of its parts, and of an extended file.
const longestPath = 4096
const deepest = 256
const mostText = 1024 * 1024
const longestTarget = 4096

/**
 * Reads the entries of a base image's layer from its archive.
 * @param room the limits, reduced with each entry
 */
export function createScanner(room: ScanRoom, mostEntries: number) {
  const entries: BaseEntry[] = []

  const add = (entry: TarEntry): TakeContent => {
    takeRoom(room, entry, mostEntries)
    const path = pathOf(entry.path)
    // The root itself.
    if (path === '') return undefined
    const { mode, uid, gid } = entry
    const owner = { uid, gid }
    const slash = path.lastIndexOf('/')
    const [folder, name] = [path.slice(0, Math.max(slash, 0)), path.slice(slash + 1)]
    if (name === '.wh..wh..opq') entries.push({ kind: 'emptied', path: folder })
    // Files of aufs itself.
    else if (name.startsWith('.wh..wh.')) return undefined
    else if (name.startsWith('.wh.')) {
      entries.push({ kind: 'removed', path: `${folder}${folder === '' ? '' : '/'}${name.slice(4)}` })
    } else if (entry.type === '5') entries.push({ kind: 'directory', path, mode, owner })
    else if (entry.type === '2') {
      if (entry.target.length > longestTarget) throw tooLong(path)
      entries.push({ kind: 'link', path, target: entry.target })
    } else if (entry.type === '0' && extendedFiles.has(path)) {
      if (entry.size > mostText) throw new BaseProblem(`its /${path} has more than ${mostText} bytes`)
      // An archive may contain the same file any number of times.
      room.names -= entry.size
      if (room.names < 0) throw new BaseProblem(`it has /${path} too often: push the image again`)
      const content = Buffer.alloc(entry.size)
      let filled = 0
      const at = entries.length
      entries.push({ kind: 'file', path, mode, owner, text: '' })
      return (bytes) => {
        content.set(bytes, filled)
        filled += bytes.length
        // Chunks may have a single byte, so the text is built once.
        if (filled === entry.size) {
          entries[at] = { kind: 'file', path, mode, owner, text: content.toString('latin1') }
        }
      }
    } else entries.push({ kind: 'file', path, mode, owner })
    return undefined
  }

  const reader = createTarReader(add)
  return {
    write: (bytes: Uint8Array) => reader.write(bytes),
    /** Ends the input. @returns the entries, in the order of the archive */
    end(): readonly BaseEntry[] {
      reader.end()
      return entries
    },
  }
}

/** `./a//b/` is `a/b`. @throws BaseProblem for a path that leads out, or is too long */
function pathOf(text: string): string {
  if (text.length > longestPath) throw tooLong(text)
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.length > deepest || parts.some((part) => part.length > 255)) throw tooLong(text)
  if (parts.includes('..')) throw new BaseProblem('one of its layers has a path with ".."')
  return parts.join('/')
}

const tooLong = (path: string): BaseProblem =>
  new BaseProblem(
    `one of its layers has a name that is too long (${path.length} bytes, at most ${longestPath}, and 255 in each part)`,
  )
