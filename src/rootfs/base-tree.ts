import { posix } from 'node:path'
import { NixeryError } from '../errors.ts'
import type { BaseEntry } from './base-entry.ts'
import type { Node, Tree } from './work.ts'

// The maximum number of links followed for one path, as in Linux (MAXSYMLINKS).
const mostLinks = 40
// A limit for resolving all links of a base, because each may lead through 40 others: bytes of targets, and 16 for each
// part of a path. And the maximum number of parts of a resolved path; no path in an archive has more.
const mostWay = 128 * 1024 * 1024
const deepest = 256
// The maximum number of directories that archives imply but do not list: a short path may need hundreds.
const mostUnnamed = 400_000

/** As read, before links are followed. */
type Raw =
  | { readonly kind: 'directory'; readonly children: RawTree; readonly entry?: DirectoryEntry }
  | { readonly kind: 'file'; readonly entry: Extract<BaseEntry, { kind: 'file' }> }
  | { readonly kind: 'link'; readonly target: string }
type RawTree = Map<string, Raw>
type DirectoryEntry = Extract<BaseEntry, { kind: 'directory' }>

/**
 * Builds the tree of a base image by applying its layers as runtimes do (OCI image spec, layer.md, "Applying
 * Changesets"). Links to a directory of the base, or to nothing, are aliases: entries below them are placed at their
 * target.
 * @param layers the lowest first
 */
export function treeOfBase(layers: readonly (readonly BaseEntry[])[]): Tree {
  const root: RawTree = new Map()
  const room = { unnamed: mostUnnamed }
  for (const entries of layers) {
    // Whiteouts apply to lower layers, whatever their position in the archive.
    for (const entry of entries) {
      if (entry.kind === 'removed')
        folderIn(root, posix.dirname(entry.path))?.delete(posix.basename(entry.path))
      if (entry.kind === 'emptied') folderIn(root, entry.path)?.clear()
    }
    for (const entry of entries)
      if (entry.kind !== 'removed' && entry.kind !== 'emptied') add(root, entry, room)
  }
  return finished({ root, length: 0 }, root, '')
}

/** The directory at a path without links; undefined if it does not exist. */
function folderIn(root: RawTree, path: string): RawTree | undefined {
  let children: RawTree | undefined = root
  for (const part of partsOf(path)) {
    const node: Raw | undefined = children?.get(part)
    children = node?.kind === 'directory' ? node.children : undefined
  }
  return children
}

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.')

/** Replaces an entry; a directory keeps its contents. */
function add(
  root: RawTree,
  entry: Exclude<BaseEntry, { kind: 'removed' | 'emptied' }>,
  room: { unnamed: number },
): void {
  const parts = partsOf(entry.path)
  const name = parts.pop() ?? ''
  let parent = root
  for (const part of parts) {
    const found = parent.get(part)
    if (found?.kind === 'directory') parent = found.children
    else {
      // A directory that the archive implies replaces any other entry of lower layers.
      room.unnamed -= 1
      if (room.unnamed < 0) {
        throw new NixeryError(
          'RECIPE_INVALID',
          `base: its archives contain files in more than ${mostUnnamed} directories that they do not list: use a smaller base`,
        )
      }
      const children: RawTree = new Map()
      parent.set(part, { kind: 'directory', children })
      parent = children
    }
  }
  if (entry.kind === 'link') parent.set(name, { kind: 'link', target: entry.target })
  else if (entry.kind === 'file') parent.set(name, { kind: 'file', entry })
  else {
    const found = parent.get(name)
    const children: RawTree = found?.kind === 'directory' ? found.children : new Map()
    parent.set(name, { kind: 'directory', children, entry })
  }
}

/** The targets of links, and the cost of resolving them so far. */
type Way = { readonly root: RawTree; length: number }

function finished(way: Way, tree: RawTree, path: string): Tree {
  const result: Tree = new Map()
  for (const [name, raw] of tree) result.set(name, nodeOf(way, raw, path, `${path}/${name}`))
  return result
}

function nodeOf(way: Way, raw: Raw, folder: string, path: string): Node {
  if (raw.kind === 'directory') {
    const { mode = 0o755, owner = { uid: 0, gid: 0 } } = raw.entry ?? {}
    return { kind: 'directory', children: finished(way, raw.children, path), mode, owner, inBase: true }
  }
  if (raw.kind === 'file') {
    const { mode, owner, text } = raw.entry
    return { kind: 'base', mode, owner, ...(text !== undefined && { text }) }
  }
  const led = lead(way, posix.isAbsolute(raw.target) ? raw.target : `${folder}/${raw.target}`)
  if (led === undefined) return { kind: 'base' }
  return { kind: 'alias', target: raw.target, at: led, inBase: true }
}

/**
 * Resolves a path to a directory of the base or to nothing: returns its path without links. Undefined for a file, a
 * cycle or a path that is too deep, and for all paths once the links of the base have used up `mostWay`.
 */
function lead(way: Way, path: string): string | undefined {
  const remaining: string[] = []
  const enter = (target: string) => {
    const parts = partsOf(target)
    way.length += target.length + 16 * parts.length
    for (const part of parts.reverse()) remaining.push(part)
  }
  if (way.length > mostWay) return undefined
  enter(path)
  let done: { readonly name: string; readonly children: RawTree | undefined }[] = []
  let links = 0
  for (let part = remaining.pop(); part !== undefined; part = remaining.pop()) {
    if (way.length > mostWay) return undefined
    if (part === '..') {
      done.pop()
      continue
    }
    const folder = done.at(-1)
    const node: Raw | undefined = (folder ? folder.children : way.root)?.get(part)
    if (node?.kind === 'file') return undefined
    if (node?.kind !== 'link') {
      if (done.length === deepest) return undefined
      done.push({ name: part, children: node?.children })
      continue
    }
    links += 1
    if (links > mostLinks) return undefined
    if (posix.isAbsolute(node.target)) done = []
    enter(node.target)
  }
  return `/${done.map(({ name }) => name).join('/')}`
}
