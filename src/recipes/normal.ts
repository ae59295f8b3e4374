import type { Account, ImageFile } from '../image/contents.ts'
import type { Recipe } from '../image/recipes.ts'
import { byText } from '../image/store-path.ts'
import { compose } from './compose.ts'
import type { WrittenFile, WrittenRecipe } from './schema.ts'

/** A file read for `source`; a directory has one for each of its entries. */
export type Copied = {
  /** The path in the source: empty for the source itself, otherwise `a/b`. */
  readonly inside: string
  readonly executable: boolean
} & ({ readonly bytes: Uint8Array } | { readonly link: string } | { readonly directory: true })

/** The files that were read, by `source`. */
export type Copies = ReadonlyMap<string, readonly Copied[]>

/**
 * Returns the normal form of a recipe without its includes: defaults are filled in, unordered lists are sorted, and
 * empty fields are omitted. The normal form of a normal form is itself.
 * @throws RECIPE_INVALID
 */
export function normalise(name: string, written: WrittenRecipe, copies: Copies = new Map()): Recipe {
  const { include: _include, shell: _shell, packages = [], accounts, files, platforms, ...rest } = written
  const given = Object.entries(rest).filter(([, value]) => value !== undefined)
  const recipe = {
    ...(Object.fromEntries(given) as Omit<Recipe, 'packages'>),
    packages,
    ...(platforms && { platforms: [...new Set(platforms)].sort(byText) }),
    ...(accounts && { accounts: accounts.map(normalAccount) }),
    ...(files && { files: files.flatMap((file) => normalFiles(file, copies)) }),
  } satisfies Recipe
  return compose([{ name, recipe }])
}

type WrittenAccount = NonNullable<WrittenRecipe['accounts']>[number]

const normalAccount = ({ name, uid, gid = uid, home, shell, groups = [] }: WrittenAccount): Account => ({
  name,
  uid,
  gid,
  home: home ?? `/home/${name}`,
  shell: shell ?? '/bin/sh',
  groups: [...new Set(groups)].sort(byText),
})

function normalFiles(file: WrittenFile, copies: Copies): ImageFile[] {
  const { path, mode, uid = 0, gid = 0 } = file
  const owner = { uid, gid }
  if (file.link !== undefined) return [{ path, link: file.link }]
  if (file.directory) return [{ path, directory: true, mode: mode ?? '0755', ...owner }]
  if (file.text !== undefined) return [{ path, text: file.text, mode: mode ?? '0644', ...owner }]
  if (file.base64 !== undefined) return [{ path, base64: file.base64, mode: mode ?? '0644', ...owner }]
  if (file.store !== undefined)
    return [{ path, store: file.store, ...(mode !== undefined && { mode }), ...owner }]
  return (copies.get(file.source ?? '') ?? []).map((copied) => {
    const at = copied.inside === '' ? path : `${path}/${copied.inside}`
    if ('link' in copied) return { path: at, link: copied.link }
    // The mode applies to files in the directory; directories stay readable.
    if ('directory' in copied) return { path: at, directory: true as const, mode: '0755', ...owner }
    const own = { mode: mode ?? (copied.executable ? '0755' : '0644'), ...owner }
    return { path: at, ...contentOf(copied.bytes), ...own }
  })
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function contentOf(bytes: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: decoder.decode(bytes) }
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') }
  }
}
