import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { onDisk, walk, type Found, type Walked } from './walk.ts'

/** What files were when they were hashed, by path, so that only those that have changed are read again. */
export type Hashed = Map<string, { readonly facts: string; readonly id: string }>

/** More is not read to find out whether a checkout is clean: it is told from others by its fingerprint then. */
const mostBytes = 2n * 1024n ** 3n

/**
 * Walks over a checkout and compares it with a commit, byte by byte: it is clean when it has what the commit has and
 * nothing else, whether git ignores it or not, down to empty folders. Git's index is not asked. So it does not
 * matter what the index was told to assume, how exact its times are, which files are excluded and where, and what
 * filters and line endings make of contents. A checkout with submodules is never clean: their contents are in no tree.
 * @param listing what `git ls-tree -r -t -z` says of the commit
 * @param hashed kept from one comparison to the next, and changed
 * @throws what `walk` does
 */
export function compare(root: string, listing: Uint8Array, hashed: Hashed): Walked & { clean: boolean } {
  const tracked = parseListing(listing)
  const contents: Found[] = []
  let clean = tracked !== undefined
  let seen = 0
  let bytes = 0n
  const walked = walk(root, (found) => {
    if (!clean) return
    seen += 1
    const entry = tracked?.get(found.path)
    clean = entry !== undefined && entry.mode === modeOf(found)
    if (!found.stat.isDirectory()) contents.push(found)
    bytes += found.stat.isFile() ? found.stat.size : 0n
  })
  if (!clean || seen !== tracked?.size || bytes > mostBytes) return { ...walked, clean: false }
  // What was changed last is most likely to differ.
  contents.sort((a, b) => Number(b.stat.ctimeNs - a.stat.ctimeNs))
  const isSame = (found: Found) => {
    const id = tracked.get(found.path)?.id
    return id !== undefined && idOf(root, found, hashed, id.length) === id
  }
  return { ...walked, clean: contents.every(isSame) }
}

/** Mode and object of each path; undefined if something is neither file, link nor folder: a submodule. */
function parseListing(listing: Uint8Array): Map<string, { mode: string; id: string }> | undefined {
  const tracked = new Map<string, { mode: string; id: string }>()
  for (const line of Buffer.from(listing).toString('latin1').split('\0')) {
    if (line === '') continue
    const tab = line.indexOf('\t')
    const [mode = '', , id = ''] = line.slice(0, tab).split(' ')
    if (!modes.has(mode)) return undefined
    tracked.set(line.slice(tab + 1), { mode, id })
  }
  return tracked
}

const modes: ReadonlySet<string> = new Set(['040000', '100644', '100755', '120000'])

function modeOf({ stat }: Found): string | undefined {
  if (stat.isDirectory()) return '040000'
  if (stat.isSymbolicLink()) return '120000'
  if (stat.isFile()) return stat.mode & 0o100n ? '100755' : '100644'
  return undefined
}

/** The id of a file's or a link's blob; undefined if it cannot be read, or changes meanwhile. */
function idOf(
  root: string,
  { path, stat, target }: Found,
  hashed: Hashed,
  length: number,
): string | undefined {
  const facts = `${stat.dev} ${stat.ino} ${stat.size} ${stat.ctimeNs}`
  const before = hashed.get(path)
  if (before?.facts === facts && before.id.length === length) return before.id
  const hash = createHash(length === 40 ? 'sha1' : 'sha256')
  hash.update(`blob ${stat.size}\0`)
  if (stat.isSymbolicLink()) hash.update(target, 'latin1')
  else if (!readInto(hash, `${Buffer.from(root).toString('latin1')}/${path}`, stat.size)) return undefined
  const id = hash.digest('hex')
  hashed.set(path, { facts, id })
  return id
}

const block = Buffer.allocUnsafeSlow(256 * 1024)

function readInto(hash: { update(bytes: Uint8Array): unknown }, file: string, size: bigint): boolean {
  let descriptor: number | undefined
  try {
    descriptor = openSync(onDisk(file), 'r')
    let left = Number(size)
    for (;;) {
      const count = readSync(descriptor, block)
      if (count === 0) return left === 0
      hash.update(block.subarray(0, count))
      left -= count
      if (left < 0) return false
    }
  } catch {
    return false
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
