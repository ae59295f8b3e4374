import { largestNarinfo, parseNarinfo } from '../contents/cache/narinfo.ts'
import { NixeryError } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Objects } from '../store/objects.ts'
import { narinfoName } from './names.ts'

/**
 * Decides which narinfo of a path is used: the first one. Its NAR is in the shared cache, so it can be read at once.
 * @param text used if there is none yet
 * @returns the narinfo in use, which is then in the shared cache
 * @throws STORE_UNAVAILABLE, STORE_FULL
 */
export type First = (path: StorePath, text: string, signal: AbortSignal) => Promise<string>

const narinfoType = 'text/x-nix-narinfo'
// How often an existing narinfo may be missing when it is read.
const mostAttempts = 3

/** The worker that creates the narinfo in the cache wins. The bucket must support conditional requests. */
export function firstCreated(objects: Objects): First {
  return async (path, text) => {
    for (let attempt = 1; attempt <= mostAttempts; attempt += 1) {
      if (await objects.create(narinfoName(path), Buffer.from(text), narinfoType)) return text
      const found = await objects.read(narinfoName(path), largestNarinfo)
      if (found) return found.toString('latin1')
    }
    const message = `the shared binary cache loses the narinfo of ${path}`
    throw new NixeryError('STORE_UNAVAILABLE', message, {
      hint: 'the operator can look whether it is deleted',
    })
  }
}

/** Decisions that workers of several machines store in a database, each for at least a day. */
export type Decisions = {
  /** Records a narinfo unless there is one. Returns the recorded one. */
  first(path: StorePath, text: string, signal: AbortSignal): Promise<string>
  /** Replaces a narinfo that is no longer usable, unless another worker has done so. Returns the recorded one. */
  replace(path: StorePath, gone: string, text: string, signal: AbortSignal): Promise<string>
}

/**
 * The worker that records the narinfo in a database wins, which also works with buckets that ignore conditions. Any
 * worker that finds it there creates it in the cache, because a worker may have been killed before that.
 */
export function firstRecorded(decisions: Decisions, objects: Objects): First {
  const create = firstCreated(objects)
  return async (path, text, signal) => {
    const recorded = await decisions.first(path, text, signal)
    const isUseful = recorded === text || (await isThere(recorded, objects))
    return create(path, isUseful ? recorded : await decisions.replace(path, recorded, text, signal), signal)
  }
}

/** Whether the NAR of a narinfo is in the cache; it may have been deleted since. */
async function isThere(text: string, objects: Objects): Promise<boolean> {
  const narinfo = parseNarinfo(text)
  return !('invalid' in narinfo) && (await objects.size(narinfo.url)) === narinfo.fileSize
}
