import type { Listings } from '../contents/contents.ts'
import type { Owner } from '../contents/entry.ts'
import { followLinks, type Place } from '../contents/follow-links.ts'
import { NixeryError } from '../errors.ts'
import { byText } from '../image/store-path.ts'
import { directoryAt, isDirectory, isInBase, nodeAt, placeFor, putDirectory } from './tree.ts'
import type { Node, Work } from './work.ts'

// The maximum bytes and files copied from the store into one image, documented in docs/recipes.md.
const mostBytes = 16 * 1024 * 1024
const mostFiles = 10_000

/** Adds the files of recipes to the tree. They replace files of packages; a directory keeps its contents. */
export async function addImageFiles(work: Work): Promise<void> {
  const copier = createCopier(work.listings, work.store)
  for (const file of work.extra?.files ?? []) {
    const path = bytesOf(file.path)
    if ('link' in file) await replace(work, path, { kind: 'link', target: bytesOf(file.link) })
    else if ('directory' in file)
      await addDirectory(work, path, { mode: modeOf(file.mode, 0o755), owner: ownerOf(file) })
    else if ('store' in file) {
      const node = await copier(bytesOf(file.store), { owner: ownerOf(file), mode: file.mode })
      if (node.kind === 'directory') await merge(work, path, node)
      else await replace(work, path, node)
    } else {
      const bytes = 'text' in file ? Buffer.from(file.text) : Buffer.from(file.base64, 'base64')
      await replace(work, path, { kind: 'file', bytes, mode: modeOf(file.mode, 0o644), owner: ownerOf(file) })
    }
  }
}

/** A directory of the base keeps its mode and owner, unless the recipe sets others than the defaults. */
async function addDirectory(work: Work, path: string, how: { mode: number; owner: Owner }): Promise<void> {
  const isUsual = how.mode === 0o755 && how.owner.uid === 0 && how.owner.gid === 0
  if (isUsual && work.base && isInBase(await nodeAt(work, path))) await directoryAt(work, path)
  else await putDirectory(work, path, how)
}

async function replace(work: Work, path: string, node: Node): Promise<void> {
  const { parent, name, existing } = await placeFor(work, path)
  if ((await isDirectory(work, existing)) || (await leadsToDirectory(work, existing)))
    throw new NixeryError(
      'RECIPE_INVALID',
      `files: ${textOf(path)} is a directory of the image: choose another place`,
    )
  parent.set(name, node)
}

async function leadsToDirectory({ listings, store }: Work, node: Node | undefined): Promise<boolean> {
  if (node?.kind !== 'link') return false
  return (await followLinks(listings, node.target, store))?.found.kind === 'directory'
}

async function merge(work: Work, path: string, node: Extract<Node, { kind: 'directory' }>): Promise<void> {
  const { children, mode = 0o755, owner = { uid: 0, gid: 0 } } = node
  await addDirectory(work, path, { mode, owner })
  for (const [name, child] of children) {
    const at = `${path}/${name}`
    if (child.kind === 'directory') await merge(work, at, child)
    else await replace(work, at, child)
  }
}

type How = { readonly owner: Owner; readonly mode: string | undefined }

/** Copies files from the store, within limits for all copies together. */
function createCopier(listings: Listings, store: string) {
  let bytesLeft = mostBytes
  let filesLeft = mostFiles
  const tooMuch = (path: string) =>
    new NixeryError(
      'RECIPE_INVALID',
      `files: ${textOf(path)} is too large to be copied (at most ${mostBytes} bytes and ${mostFiles} files): use a link to it`,
    )

  const copy = async (path: string, how: How, place?: Place): Promise<Node> => {
    const at = place ?? (await followLinks(listings, path, store))
    if (!at) throw new NixeryError('RECIPE_INVALID', `files: ${textOf(path)} does not exist in the store`)
    filesLeft -= 1
    if (filesLeft < 0) throw tooMuch(path)
    if (at.found.kind === 'file') {
      const bytes = await listings.read(at.path, bytesLeft + 1)
      bytesLeft -= bytes.length
      if (bytesLeft < 0) throw tooMuch(path)
      return {
        kind: 'file',
        bytes,
        mode: modeOf(how.mode, at.found.program ? 0o755 : 0o644),
        owner: how.owner,
      }
    }
    const children = new Map<string, Node>()
    for (const name of (await listings.list(at.path)).sort(byText)) {
      const inside = `${at.path}/${name}`
      const found = await listings.look(inside)
      if (found?.kind === 'symlink') children.set(name, { kind: 'link', target: found.target })
      else if (found) children.set(name, await copy(inside, how, { path: inside, found }))
    }
    return { kind: 'directory', children, mode: 0o755, owner: how.owner }
  }
  return (path: string, how: How) => copy(path, how)
}

const modeOf = (mode: string | undefined, other: number): number =>
  mode === undefined ? other : Number.parseInt(mode, 8)
const ownerOf = ({ uid, gid }: Owner): Owner => ({ uid, gid })

/** Converts to a byte string, as in the tree. */
const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')
const textOf = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()
