import { posix } from 'node:path'
import type { BaseEntry } from './base-entry.ts'
import type { Node, Tree } from './work.ts'

// The links of one path that are followed, as in Linux (MAXSYMLINKS).
const mostLinks = 40

/** As read: links are not followed yet. */
type Raw =
  | { readonly kind: 'directory'; readonly children: RawTree; readonly entry?: DirectoryEntry }
  | { readonly kind: 'file'; readonly entry: Extract<BaseEntry, { kind: 'file' }> }
  | { readonly kind: 'link'; readonly target: string }
type RawTree = Map<string, Raw>
type DirectoryEntry = Extract<BaseEntry, { kind: 'directory' }>

/**
 * The tree of a base image: its layers over each other as runtimes lay them (OCI image spec, layer.md, "Applying
 * Changesets"). Links that lead to a directory of the base, or to nothing, are aliases: what is put below them lands there.
 * @param layers the lowest first
 */
export function treeOfBase(layers: readonly (readonly BaseEntry[])[]): Tree {
  const root: RawTree = new Map()
  for (const entries of layers) {
    // Deletions are of what lower layers have, wherever they stand in the archive.
    for (const entry of entries) {
      if (entry.kind === 'removed')
        folderIn(root, posix.dirname(entry.path))?.delete(posix.basename(entry.path))
      if (entry.kind === 'emptied') folderIn(root, entry.path)?.clear()
    }
    for (const entry of entries) if (entry.kind !== 'removed' && entry.kind !== 'emptied') add(root, entry)
  }
  return finished(root, root, '')
}

/** The directory at a path without links; undefined if there is none. */
function folderIn(root: RawTree, path: string): RawTree | undefined {
  let children: RawTree | undefined = root
  for (const part of partsOf(path)) {
    const node: Raw | undefined = children?.get(part)
    children = node?.kind === 'directory' ? node.children : undefined
  }
  return children
}

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.')

/** Puts an entry in place of what is there; a directory keeps what is in it. */
function add(root: RawTree, entry: Exclude<BaseEntry, { kind: 'removed' | 'emptied' }>): void {
  const parts = partsOf(entry.path)
  const name = parts.pop() ?? ''
  let parent = root
  for (const part of parts) {
    const found = parent.get(part)
    if (found?.kind === 'directory') parent = found.children
    else {
      // A directory that the archive does not name: in a layer it stands over whatever was there.
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

function finished(root: RawTree, tree: RawTree, path: string): Tree {
  const result: Tree = new Map()
  for (const [name, raw] of tree) result.set(name, nodeOf(root, raw, path, `${path}/${name}`))
  return result
}

function nodeOf(root: RawTree, raw: Raw, folder: string, path: string): Node {
  if (raw.kind === 'directory') {
    const { mode = 0o755, owner = { uid: 0, gid: 0 } } = raw.entry ?? {}
    return { kind: 'directory', children: finished(root, raw.children, path), mode, owner, inBase: true }
  }
  if (raw.kind === 'file') {
    const { mode, owner, text } = raw.entry
    return { kind: 'base', mode, owner, ...(text !== undefined && { text }) }
  }
  const led = lead(root, posix.isAbsolute(raw.target) ? raw.target : `${folder}/${raw.target}`)
  if (led === undefined) return { kind: 'base' }
  return { kind: 'alias', target: raw.target, at: led, inBase: true }
}

/** Where a path leads, if it is a directory of the base or nothing: its path without links. Undefined for a file or a circle. */
function lead(root: RawTree, path: string): string | undefined {
  const remaining = partsOf(path)
  let done: string[] = []
  let links = 0
  for (let part = remaining.shift(); part !== undefined; part = remaining.shift()) {
    if (part === '..') {
      done.pop()
      continue
    }
    const node = folderIn(root, done.join('/'))?.get(part)
    if (node?.kind === 'file') return undefined
    if (node?.kind !== 'link') {
      done.push(part)
      continue
    }
    links += 1
    if (links > mostLinks) return undefined
    if (posix.isAbsolute(node.target)) done = []
    remaining.unshift(...partsOf(node.target))
  }
  return `/${done.join('/')}`
}
