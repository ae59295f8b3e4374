import type { FileInfo, Listings } from './contents.ts'

/** The target of a path, and its entry, which is not a link. */
export type Place = { readonly path: string; readonly found: Exclude<FileInfo, { kind: 'symlink' }> }

/** The number of links that Linux follows in one path (path_resolution(7)). */
const maxLinks = 40

/**
 * Follows all links of a path, like `realpath`; undefined if the target is missing or outside of the store. Only the
 * store is read: a link to `/usr` means a place in the container, never one on this machine.
 * @param path absolute, in the store
 * @param store the store's folder, absolute: `/nix/store`
 */
export async function followLinks(
  { look }: Pick<Listings, 'look'>,
  path: string,
  store: string,
): Promise<Place | undefined> {
  const above = store.slice(1).split('/')
  /** The names down to the current place; those down to the store's folder are `above`. */
  let here: string[] = []
  /** The current entry; undefined is a directory that was not looked up. */
  let found: Place['found'] | undefined
  let links = 0
  const ahead = partsOf(path)
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (found?.kind === 'file') return undefined
    if (name === '' || name === '.') continue
    if (name === '..') {
      here.pop()
      found = undefined
      continue
    }
    if (here.length < above.length) {
      if (name !== above[here.length]) return undefined
      here.push(name)
      continue
    }
    const next = await look(`/${[...here, name].join('/')}`)
    if (!next) return undefined
    if (next.kind !== 'symlink') {
      here.push(name)
      found = next
      continue
    }
    links += 1
    if (links > maxLinks || next.target === '') return undefined
    if (next.target.startsWith('/')) here = []
    found = undefined
    ahead.push(...partsOf(next.target))
  }
  if (here.length <= above.length) return undefined
  return { path: `/${here.join('/')}`, found: found ?? { kind: 'directory' } }
}

/** The names of a path, the first one last. */
const partsOf = (path: string): string[] => path.split('/').reverse()
