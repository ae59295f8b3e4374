/** Trees of files for tests, and archives as GNU tar and Python's tarfile read them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'

/** A tree of files. Names and targets are byte strings (`latin1`), as in archives. */
export type Tree =
  | { readonly bytes: Uint8Array; readonly mode: number }
  | { readonly target: string }
  | { readonly children: readonly (readonly [name: string, tree: Tree])[] }

export const file = (content: string | Uint8Array = '', mode = 0o644): Tree => ({
  bytes: Buffer.from(content),
  mode,
})
export const link = (target: string): Tree => ({ target })
export const dir = (children: Readonly<Record<string, Tree>> = {}): Tree => ({
  children: Object.entries(children),
})

/** Converts a byte string to bytes, and text to a byte string. */
export const raw = (text: string): Buffer => Buffer.from(text, 'latin1')
export const utf8 = (text: string): string => Buffer.from(text).toString('latin1')

/** Creates a tree on disk, with the names of each directory in this order. */
export function make(path: string, tree: Tree, order: 'given' | 'reverse' = 'given'): void {
  if ('bytes' in tree) {
    fs.writeFileSync(raw(path), tree.bytes)
    fs.chmodSync(raw(path), tree.mode)
  } else if ('target' in tree) fs.symlinkSync(raw(tree.target), raw(path))
  else {
    fs.mkdirSync(raw(path))
    const children = order === 'given' ? tree.children : tree.children.toReversed()
    for (const [name, child] of children) make(`${path}/${name}`, child, order)
  }
}

/** A member of an archive; types are '0' file, '2' symbolic link, '5' directory. */
export type Member = {
  path: string
  type: string
  mode: number
  size: number
  target: string
  sha256: string
}
const blank = { size: 0, target: '', sha256: '' }

/** The members that an archive of a tree must have, computed without the code under test. */
export function membersOf(path: string, tree: Tree): Member[] {
  if ('target' in tree) return [{ ...blank, path, type: '2', mode: 0o777, target: tree.target }]
  if ('bytes' in tree) {
    const mode = tree.mode & 0o100 ? 0o555 : 0o444
    return [{ ...blank, path, type: '0', mode, size: tree.bytes.length, sha256: hash('sha256', tree.bytes) }]
  }
  const sorted = tree.children.toSorted(([a], [b]) => Buffer.compare(raw(a), raw(b)))
  const below = sorted.flatMap(([name, child]) => membersOf(`${path}/${name}`, child))
  return [{ ...blank, path, type: '5', mode: 0o555 }, ...below]
}

const reader = `
import hashlib, json, sys, tarfile
raw = lambda text: text.encode('utf-8', 'surrogateescape').decode('latin1')
members = []
with tarfile.open(fileobj=sys.stdin.buffer, mode='r|', encoding='utf-8', errors='surrogateescape') as tar:
  for m in tar:
    whole = m.isreg() and sys.argv[1] == 'whole'
    members.append({'path': raw(m.name), 'type': m.type.decode(), 'mode': m.mode, 'size': m.size,
      'target': raw(m.linkname), 'owner': [m.uid, m.gid, m.uname, m.gname], 'mtime': m.mtime,
      'sha256': hashlib.sha256(tar.extractfile(m).read()).hexdigest() if whole else ''})
    if sys.argv[1] == 'first': break
json.dump(members, sys.stdout)
`

/**
 * Reads the members with Python's tarfile, and asserts that all belong to root and have mtime 1.
 * @param what `first` reads only the first member, without its content, for truncated archives
 * @param groups the groups of members that do not belong to group 0
 */
export function readWithPython(
  tar: Uint8Array,
  what: 'whole' | 'first' = 'whole',
  groups: Readonly<Record<string, number>> = {},
): Member[] {
  const output = execFileSync('python3', ['-I', '-S', '-c', reader, what], { input: tar, maxBuffer: 2 ** 28 })
  const read = JSON.parse(output.toString()) as (Member & { owner: unknown; mtime: number })[]
  return read.map(({ owner, mtime, ...member }) => {
    const expected = { owner: [0, groups[member.path] ?? 0, '', ''], mtime: 1 }
    assert.deepEqual({ owner, mtime }, expected, member.path)
    return member
  })
}

/**
 * Unpacks an archive with GNU tar and reads the members below `path` from disk; asserts that all have mtime 1.
 * @param into an empty folder
 */
export function unpackWithTar(tar: Uint8Array, path: string, into: string, locale: string): Member[] {
  execFileSync('tar', ['-xpf', '-', '--numeric-owner', '-C', into], {
    input: tar,
    env: { ...process.env, LC_ALL: locale },
  })
  return membersOnDisk(join(into, path), path)
}

function membersOnDisk(onDisk: string, path: string): Member[] {
  const entry = raw(onDisk)
  const stat = fs.lstatSync(entry)
  assert.equal(stat.mtimeMs, 1000, path)
  const member = { ...blank, path, mode: stat.mode & 0o7777 }
  if (stat.isSymbolicLink()) {
    return [{ ...member, type: '2', target: fs.readlinkSync(entry, { encoding: 'latin1' }) }]
  }
  if (stat.isFile()) {
    return [{ ...member, type: '0', size: stat.size, sha256: hash('sha256', fs.readFileSync(entry)) }]
  }
  const names = fs.readdirSync(entry, { encoding: 'latin1' }).sort()
  const below = names.flatMap((name) => membersOnDisk(`${onDisk}/${name}`, `${path}/${name}`))
  return [{ ...member, type: '5' }, ...below]
}

/** Removes a folder, including read-only folders such as unpacked store paths. */
export function remove(directory: string): void {
  execFileSync('chmod', ['-R', 'u+w', directory])
  fs.rmSync(directory, { recursive: true })
}
