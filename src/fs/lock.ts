import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { formatOwner, isGone, ownOwner, parseOwner } from './lock-owner.ts'

export type LockOptions = {
  /** Called once if another process has the lock. */
  readonly waiting?: () => void
  /** Milliseconds after which waiting fails; without, it does not. */
  readonly patience?: number
  readonly signal?: AbortSignal | undefined
}

// Owners mark their lock as in use at this interval, for machines that cannot see whether the owner still runs.
const markInterval = 5_000
/** Milliseconds after which an unmarked lock of another machine, or of an unknown owner, is taken over. */
const staleAfter = 20_000
const [shortestPoll, longestPoll] = [20, 100]

/**
 * Runs `work` while no other process does so under the same lock file; the folder of the file is created. The lock of a
 * process that died is taken over: at once on the same machine, else after 20 seconds.
 * @throws STORE_UNAVAILABLE when patience ends; an AbortError; the failed system call; what the work throws
 */
export async function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { waiting, patience = Infinity, signal } = options
  const owner = `${formatOwner(await ownOwner())} ${randomUUID()}`
  await mkdir(dirname(file), { recursive: true })
  const until = performance.now() + patience
  for (let poll = shortestPoll; !(await acquire(file, owner)); poll = Math.min(poll * 1.5, longestPoll)) {
    if (poll === shortestPoll) waiting?.()
    if (performance.now() > until) {
      throw new NixeryError('STORE_UNAVAILABLE', `another program keeps ${file} locked`, {
        hint: 'try again when it has ended',
      })
    }
    await sleep(poll, undefined, signal && { signal })
  }
  const marking = setInterval(() => {
    const now = new Date()
    utimes(file, now, now).catch(() => {}) // the next mark may succeed
  }, markInterval).unref()
  try {
    return await work()
  } finally {
    clearInterval(marking)
    // A machine that slept may find that its lock was taken over.
    if ((await contentOf(file)) === owner) await rm(file, { force: true })
  }
}

async function acquire(file: string, owner: string): Promise<boolean> {
  if (await create(file, owner)) return true
  if (!(await isAbandoned(file))) return false
  await removeAbandoned(file)
  return create(file, owner)
}

/** Whether the file could be created: false if it exists. */
async function create(file: string, content: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx')
    try {
      await handle.writeFile(content)
    } catch (error) {
      await rm(file, { force: true })
      throw error
    } finally {
      await handle.close()
    }
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false
    throw error
  }
}

/**
 * Removes a lock that is abandoned. Of several processes that find it so, one removes it and looks again before it
 * does: otherwise the second would remove what the first has locked anew.
 */
async function removeAbandoned(file: string): Promise<void> {
  const guard = `${file}.takeover`
  if (!(await create(guard, ''))) {
    if (await isOld(guard)) await rm(guard, { force: true })
    return
  }
  try {
    if (await isAbandoned(file)) await rm(file, { force: true })
  } finally {
    await rm(guard, { force: true })
  }
}

async function isAbandoned(file: string): Promise<boolean> {
  const owner = parseOwner((await contentOf(file)) ?? '')
  const gone = owner && (await isGone(owner))
  // An empty file is one that its owner is about to fill.
  return gone ?? (await isOld(file))
}

const contentOf = (file: string): Promise<string | undefined> =>
  readFile(file, 'utf8').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  })

async function isOld(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined) // released meanwhile
  return found !== undefined && found.mtimeMs < Date.now() - staleAfter
}
