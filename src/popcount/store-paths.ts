import { NixeryError } from '../errors.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { shown, type Get } from './get.ts'
import { decompressXz, isXz } from './xz.ts'

/** The store paths to look up in a binary cache. */
export type StorePaths = {
  /** In the order of the list, without duplicates. */
  readonly paths: readonly StorePath[]
  /** Lines that are not store paths. */
  readonly invalid: number
}

const largestList = 64 * 1024 * 1024

/**
 * Reads a list of store paths, one per line, optionally compressed with xz.
 * @throws SOURCE_INVALID if it cannot be read or contains no store path, SETUP_FAILED without xz
 */
export async function readStorePaths(
  get: Get,
  address: URL,
  signal: AbortSignal | undefined,
): Promise<StorePaths> {
  const { status, body } = await get(address, { limit: largestList, timeout: 600_000, signal })
  if (status !== 200)
    throw unreadable(address, status === 404 ? 'it does not exist' : `the server responded with ${status}`)
  const list = parseStorePaths(isXz(body) ? await decompressXz(body, signal) : body.toString('latin1'))
  if (list.paths.length === 0) throw unreadable(address, 'it contains no store paths')
  return list
}

const unreadable = (address: URL, reason: string) =>
  new NixeryError('SOURCE_INVALID', `cannot use the list of store paths at ${shown(address)}: ${reason}`, {
    hint: 'a binary cache made with `nix copy` has none: create one with `nix path-info --all`, and pass it with --store-paths',
  })

export function parseStorePaths(text: string): StorePaths {
  const paths = new Set<StorePath>()
  let invalid = 0
  for (const line of text.split('\n')) {
    const entry = line.trim()
    if (entry === '') continue
    try {
      paths.add(parseStorePath(entry))
    } catch {
      invalid += 1 // counted, and reported at the end
    }
  }
  return { paths: [...paths], invalid }
}

const directory = '/nix/store/'

/** The 32 characters that identify a path in a binary cache. */
export const storePathHash = (path: StorePath): string => path.slice(directory.length, directory.length + 32)
