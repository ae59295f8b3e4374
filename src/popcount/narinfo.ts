import { parseStorePath, type StorePath } from '../image/store-path.ts'

/** What counting needs of a binary cache's description of a store path. */
export type Narinfo = { readonly storePath: StorePath; readonly references: readonly StorePath[] }

/**
 * Parses a narinfo by Nix's own rules (libstore/nar-info.cc): lines `Name: value`, each ended by a line feed, so
 * that one cut short is not taken for a whole one. `StorePath` must be there once; `References` too, or it is left out,
 * as nix-serve does it, where there are none: then `Deriver` or `Sig` must be there, which stand behind it. Undefined for what is not one; never throws.
 */
export function parseNarinfo(text: string): Narinfo | undefined {
  if (!text.endsWith('\n')) return undefined
  const fields = new Map<string, string>()
  let isWholeList = false
  for (const line of text.slice(0, -1).split('\n')) {
    const colon = line.indexOf(':')
    if (colon < 1) return undefined
    const name = line.slice(0, colon)
    if (name === 'Deriver' || name === 'Sig') isWholeList = true
    if (name !== 'StorePath' && name !== 'References') continue
    if (fields.has(name)) return undefined
    fields.set(name, line.slice(colon + 1).trim())
  }
  const storePath = pathOf(fields.get('StorePath') ?? '')
  const listed = fields.get('References') ?? (isWholeList ? '' : undefined)
  if (storePath === undefined || listed === undefined) return undefined
  const references = listed.split(' ').flatMap((name) => (name === '' ? [] : [pathOf(`/nix/store/${name}`)]))
  return isWhole(references) ? { storePath, references } : undefined
}

const isWhole = (paths: readonly (StorePath | undefined)[]): paths is readonly StorePath[] =>
  !paths.includes(undefined)

function pathOf(text: string): StorePath | undefined {
  try {
    return parseStorePath(text)
  } catch {
    return undefined // it is a stranger's text: not being one is an answer
  }
}
