import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'
import type { StorePath } from '../image/store-path.ts'
import type { Content, Entry } from './entry.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

/** The entries of a path in the store of this machine; see `entriesOf`. */
export function* storePathEntries(storePath: StorePath): Generator<Entry> {
  // One generator instead of one for each folder, because a value would pass through all parent generators.
  const waiting: [onDisk: string, path: string][] = [[storePath, storePath.slice(1)]]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [onDisk, path] = next
    const file = bytesOf(onDisk)
    const stat = lstatSync(file)
    if (stat.isDirectory()) {
      yield { kind: 'directory', path, mode: 0o555 }
      const names = readdirSync(file, { encoding: 'latin1' }).sort()
      for (const name of names.reverse()) waiting.push([`${onDisk}/${name}`, `${path}/${name}`])
    } else if (stat.isSymbolicLink()) {
      yield { kind: 'symlink', path, target: readlinkSync(file, { encoding: 'latin1' }) }
    } else if (stat.isFile()) {
      // Of a mode, Nix's NAR format keeps only whether a file is executable.
      yield {
        kind: 'file',
        path,
        mode: stat.mode & 0o100 ? 0o555 : 0o444,
        content: onDiskOf(file, stat.size),
      }
    } else {
      throw new Error(`neither file, directory nor symbolic link: ${onDisk}`)
    }
  }
}

const onDiskOf = (file: Buffer, size: number): Content => ({
  size,
  open() {
    const descriptor = openSync(file, 'r')
    return {
      read: (into) => readSync(descriptor, into, 0, into.length, null),
      close: () => closeSync(descriptor),
    }
  },
})
