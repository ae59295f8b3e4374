import { parseStorePath, type StorePath } from '../image/store-path.ts'

/** The part of a binary cache's description of a store path that is needed for counting. */
export type Narinfo = { readonly storePath: StorePath; readonly references: readonly StorePath[] }

/**
 * Parses a narinfo by Nix's own rules (libstore/nar-info.cc): lines `Name: value`, each ended by a line feed, so that a
 * truncated one is detected. `StorePath` must appear once; `References` too, unless it is omitted because there are
 * none, as by nix-serve: then `Deriver` or `Sig`, which come after it, must be present. Undefined if it is not a
 * narinfo; never throws.
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
    return undefined // the text is not trusted: being invalid is a valid result
  }
}
