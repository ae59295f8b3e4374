import { createHash, hash, randomUUID } from 'node:crypto'
import { readFile, readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { systemErrorCode } from '../errors.ts'
import { fingerprint } from './fingerprint.ts'
import { createSharedCheck, type SharedCheck } from './shared-check.ts'
import { stateOf, type PackageSource, type PinnedSet } from './source.ts'

export type EvaluationInputs = {
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
export function withEvaluationInputs(source: PackageSource, around: EvaluationInputs): PackageSource {
  const looks = createSharedCheck(async () => digestOf(around.paths))
  const folders = new LRUCache<string, SharedCheck<boolean>>({ max: 100 })
  /** The checks whether a package set in this state reads anything outside its folder. */
  const leadsOf = ({ folder }: { readonly folder: string }, pinned: PinnedSet): SharedCheck<boolean> => {
    const key = `${folder}\0${stateOf(pinned)}`
    const leads = folders.get(key) ?? createSharedCheck(() => leadsElsewhere(folder))
    folders.set(key, leads)
    return leads
  }
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
      const state = watches ? current(looks, around) : ''
      if (!pinned || state === undefined) return undefined
      const away =
        around.unwatched || ('folder' in pinned.set && current(leadsOf(pinned.set, pinned), around))
      return away === undefined ? undefined : pinnedAround(pinned, state, away)
    },
    async pin(tag, options = {}) {
      const limits = options.old === true ? around : { ...around, stale: around.fresh }
      const [pinned, state] = await Promise.all([
        source.pin(tag, options),
        watches ? within(looks, limits) : '',
      ])
      const away =
        around.unwatched || ('folder' in pinned.set && (await within(leadsOf(pinned.set, pinned), limits)))
      return pinnedAround(pinned, state, away)
    },
  }
}

type Limits = Pick<EvaluationInputs, 'fresh' | 'stale'>

/** The last result, if no new check is due. */
function current<T>(looks: SharedCheck<T>, { fresh }: Limits): T | undefined {
  const last = looks.last()
  return last && performance.now() - last.began <= fresh ? last.value : undefined
}

/** The last result, which a check refreshes afterwards if one is due; without one, or one that is too old, a new result. */
async function within<T>(looks: SharedCheck<T>, { fresh, stale }: Limits): Promise<T> {
  const last = looks.last()
  const age = last ? performance.now() - last.began : Infinity
  if (!last || age > Math.max(fresh, stale)) return looks.join()
  if (age > fresh) looks.refresh(() => void looks.join().catch(() => {})) // the next call reports the error
  return last.value
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
    if ((await stat(real)).isFile()) {
      const text = await readFile(real, 'utf8')
      return `${hash('sha256', text)}${matches(otherFile, text) ? ` ${thisStart}` : ''}`
    }
    // Two folders written at the same time may have the same fingerprint, because file times are coarse.
    const state = `${real} ${await fingerprint(real)}`
    return (await leadsElsewhere(real)) ? `${state} ${thisStart}` : state
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return code
    throw error
  }
}

const unwatchable = /\b(fetchTarball|fetchGit|fetchTree|fetchurl|getFlake|getEnv|currentTime)\b/
const outsideFolder = /\b(import|callPackage|readFile|readDir|scopedImport)\s*\(?\s*(\.\.\/|\/[A-Za-z])/
// Matches functions that read what cannot be watched, and imports from outside the folder.
const elsewhere = new RegExp(`${unwatchable.source}|${outsideFolder.source}`)
// The same for a file by itself: any path may lead to another file.
const otherFile = new RegExp(`${unwatchable.source}|(^|[\\s(\\[{=;:])(\\.{1,2}|~)?\\/[\\w.]`)
const mostFiles = 50
const mostBytes = 256 * 1024

const matches = (what: RegExp, text: string): boolean => what.test(text.replaceAll(/^\s*#.*$/gm, ''))

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
    return matches(elsewhere, text)
  })
  return (await Promise.all(found)).some(Boolean)
}
