import { createHash, hash, randomUUID } from 'node:crypto'
import { readFile, readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { systemErrorCode } from '../errors.ts'
import { fingerprint } from './fingerprint.ts'
import { createLooks } from './looks.ts'
import { stateOf, type PackageSource, type PinnedSet } from './source.ts'

export type Surroundings = {
  /** Files and folders that evaluation reads besides the package set: overlays, configuration, targets of NIX_PATH. */
  readonly paths: readonly string[]
  /** Whether evaluation reads anything else that cannot be watched, such as URLs in NIX_PATH. */
  readonly unwatched: boolean
  /** Milliseconds for which a check is valid. */
  readonly fresh: number
  /** Milliseconds for which callers that accept an old result get it. */
  readonly stale: number
}

/** Part of the revision if something cannot be watched, so that it is evaluated again after each start. */
const thisStart = randomUUID()

/**
 * A source whose revisions also cover what evaluation reads besides the package set, and change with it. Checks are
 * shared, run at most once per `fresh` milliseconds, and only on demand.
 */
export function withSurroundings(source: PackageSource, around: Surroundings): PackageSource {
  const looks = createLooks(async () => digestOf(around.paths))
  const seen = async (old: boolean): Promise<string> => {
    const last = looks.last()
    if (!last) return looks.join()
    const age = performance.now() - last.began
    if (age <= around.fresh) return last.value
    if (!old || age > around.stale) return looks.join()
    void looks.join().catch(() => {}) // the next call reports the error
    return last.value
  }
  const leads = createLeads(around.fresh)
  // Without anything to watch, the revisions of the source are used unchanged.
  const watches = around.paths.length > 0
  const pins = new WeakMap<
    PinnedSet,
    { readonly state: string; readonly away: boolean; readonly pin: PinnedSet }
  >()
  const pinnedAround = (pinned: PinnedSet, state: string, away: boolean): PinnedSet => {
    if (state === '' && !away) return pinned
    const last = pins.get(pinned)
    if (last?.state === state && last.away === away) return last.pin
    const pin: PinnedSet = {
      ...pinned,
      revision: `${pinned.revision}+${hash('sha256', `${state} ${away ? thisStart : ''}`)}`,
      async unchanged() {
        const [same, now] = await Promise.all([pinned.unchanged(), watches ? looks.next() : ''])
        return same && now === state
      },
    }
    pins.set(pinned, { state, away, pin })
    return pin
  }
  return {
    ...source,
    current(tag) {
      const pinned = source.current?.(tag)
      const last = watches ? looks.last() : { value: '', began: Infinity }
      if (!pinned || !last || performance.now() - last.began > around.fresh) return undefined
      const away =
        around.unwatched || ('folder' in pinned.set && leads.last(pinned.set.folder, stateOf(pinned)))
      return away === undefined ? undefined : pinnedAround(pinned, last.value, away)
    },
    async pin(tag, options = {}) {
      const [pinned, state] = await Promise.all([
        source.pin(tag, options),
        watches ? seen(options.old ?? false) : '',
      ])
      const away =
        around.unwatched || ('folder' in pinned.set && (await leads.look(pinned.set.folder, stateOf(pinned))))
      return pinnedAround(pinned, state, away)
    },
  }
}

/** Identifies files by content, folders by fingerprint, and paths in the Nix store by name. */
async function digestOf(paths: readonly string[]): Promise<string> {
  const sha256 = createHash('sha256')
  for (const path of paths) sha256.update(`${JSON.stringify([path, await stateOfPath(path)])}\n`)
  return sha256.digest('hex')
}

async function stateOfPath(path: string): Promise<string> {
  try {
    const real = await realpath(path)
    if (real.startsWith('/nix/store/')) return real
    if ((await stat(real)).isFile()) return hash('sha256', await readFile(real))
    // Two folders written at the same time may have the same fingerprint, because file times are coarse.
    return `${real} ${await fingerprint(real)}`
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return code
    throw error
  }
}

// Matches functions that read what cannot be watched, and imports from outside the folder.
const elsewhere =
  /\b(fetchTarball|fetchGit|fetchTree|fetchurl|getFlake|getEnv|currentTime)\b|\b(import|callPackage|readFile|readDir|scopedImport)\s*\(?\s*(\.\.\/|\/[A-Za-z])/
const mostFiles = 50
const mostBytes = 256 * 1024

/**
 * Caches whether package sets read anything outside their folder, so that a known image does not cost reading the folder.
 * @param fresh milliseconds for which a result is valid while the state of the folder is the same
 */
function createLeads(fresh: number) {
  type Look = { readonly began: number; readonly result: Promise<boolean>; leads: boolean | undefined }
  const looks = new LRUCache<string, Look>({ max: 100 })
  const freshLook = (folder: string, state: string): Look | undefined => {
    const look = looks.get(`${folder}\0${state}`)
    return look && performance.now() - look.began < fresh ? look : undefined
  }
  return {
    /** The last result, if it is still valid. */
    last: (folder: string, state: string) => freshLook(folder, state)?.leads,
    look(folder: string, state: string): Promise<boolean> {
      const last = freshLook(folder, state)
      if (last) return last.result
      const result = leadsElsewhere(folder)
      const look: Look = { began: performance.now(), result, leads: undefined }
      looks.set(`${folder}\0${state}`, look)
      void result.then((leads) => (look.leads = leads))
      return result
    },
  }
}

/**
 * Whether the files at the top of a package set's folder read anything from outside it. A folder in the Nix store is
 * pinned by its content.
 */
async function leadsElsewhere(folder: string): Promise<boolean> {
  if (folder.startsWith('/nix/store/')) return false
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.nix'))
  const found = names.slice(0, mostFiles).map(async (name) => {
    const path = join(folder, name)
    const about = await stat(path).catch(() => undefined)
    if (!about?.isFile() || about.size > mostBytes) return false
    const text = await readFile(path, 'utf8').catch(() => '')
    return elsewhere.test(text.replaceAll(/^\s*#.*$/gm, ''))
  })
  return (await Promise.all(found)).some(Boolean)
}
