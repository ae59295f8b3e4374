import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { onDisk, walk, type WalkedFile, type TreeState } from './walk.ts'

/** The state of files when they were hashed, by path, so that only changed files are read again. */
export type Hashed = Map<string, { readonly facts: string; readonly id: string }>

/** The maximum size of a checkout to compare with its commit. A larger one is identified by its fingerprint. */
const mostBytes = 2n * 1024n ** 3n

/**
 * Walks over a checkout and compares it with a commit, byte by byte. It is clean if it has exactly the content of the
 * commit, including ignored files and empty folders. Git's index is not used, so assumed-unchanged files, the resolution
 * of file times, exclude rules, filters and line endings do not matter. A checkout with submodules is never clean, because
 * no tree has their contents.
 * @param listing the output of `git ls-tree -r -t -z` for the commit
 * @param hashed reused and updated from one comparison to the next
 * @throws what `walk` throws
 */
export function compare(root: string, listing: Uint8Array, hashed: Hashed): TreeState & { clean: boolean } {
  const tracked = parseListing(listing)
  const contents: WalkedFile[] = []
  let clean = tracked !== undefined
  let seen = 0
  let bytes = 0n
  const walked = walk(root, (file) => {
    if (!clean) return
    seen += 1
    const entry = tracked?.get(file.path)
    clean = entry !== undefined && entry.mode === modeOf(file)
    if (!file.stat.isDirectory()) contents.push(file)
    bytes += file.stat.isFile() ? file.stat.size : 0n
  })
  if (!clean || seen !== tracked?.size || bytes > mostBytes) return { ...walked, clean: false }
  // The files that were changed last are the most likely to differ.
  contents.sort((a, b) => Number(b.stat.ctimeNs - a.stat.ctimeNs))
  const isSame = (file: WalkedFile) => {
    const id = tracked.get(file.path)?.id
    return id !== undefined && idOf(root, file, hashed, id.length) === id
  }
  return { ...walked, clean: contents.every(isSame) }
}

/** Mode and object of each path; undefined if there is a submodule. */
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

function modeOf({ stat }: WalkedFile): string | undefined {
  if (stat.isDirectory()) return '040000'
  if (stat.isSymbolicLink()) return '120000'
  if (stat.isFile()) return stat.mode & 0o100n ? '100755' : '100644'
  return undefined
}

/** The id of a file's or a link's blob; undefined if it cannot be read, or changes during the read. */
function idOf(
  root: string,
  { path, stat, target }: WalkedFile,
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
