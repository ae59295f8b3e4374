import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { formatOwner, isGone, currentOwner, parseOwner } from './lock-owner.ts'

export type LockOptions = {
  /** Called once if another process holds the lock. */
  readonly waiting?: () => void
  /** The longest wait in milliseconds; unlimited by default. */
  readonly patience?: number
  readonly signal?: AbortSignal | undefined
}

// Owners touch their lock at this interval (ms), for other machines, which cannot see whether the owner still runs.
const markInterval = 5_000
/** The age in milliseconds at which an untouched lock of another machine or of an unknown owner is taken over. */
const staleAfter = 20_000
const [shortestPoll, longestPoll] = [20, 100]

/**
 * Runs `work` while holding a lock file, so that only one process does so at a time. Creates the folder of the file. The
 * lock of a process that died is taken over: at once on the same machine, otherwise after 20 seconds.
 * @throws STORE_UNAVAILABLE when `patience` is over; an AbortError; the failed system call; the errors of the work
 */
export async function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { waiting, patience = Infinity, signal } = options
  const owner = `${formatOwner(await currentOwner())} ${randomUUID()}`
  await mkdir(dirname(file), { recursive: true })
  const until = performance.now() + patience
  for (let poll = shortestPoll; !(await acquire(file, owner)); poll = Math.min(poll * 1.5, longestPoll)) {
    if (poll === shortestPoll) waiting?.()
    if (performance.now() > until) {
      throw new NixeryError('STORE_UNAVAILABLE', `${file} is locked by another process`, {
        hint: 'try again when that process has ended',
      })
    }
    await sleep(poll, undefined, signal && { signal })
  }
  const marking = setInterval(() => {
    const now = new Date()
    utimes(file, now, now).catch(() => {}) // the next attempt may succeed
  }, markInterval).unref()
  try {
    return await work()
  } finally {
    clearInterval(marking)
    // The lock may have been taken over while this machine was suspended.
    if ((await contentOf(file)) === owner) await rm(file, { force: true })
  }
}

async function acquire(file: string, owner: string): Promise<boolean> {
  if (await create(file, owner)) return true
  if (!(await isAbandoned(file))) return false
  await removeAbandoned(file)
  return create(file, owner)
}

/** Creates a file. Returns false if it exists. */
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
 * Removes an abandoned lock. If several processes do so at once, only one removes it, and it checks again first:
 * otherwise the second would remove the new lock of the first.
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
  // An empty file has just been created, and its owner is about to write it.
  return gone ?? (await isOld(file))
}

const contentOf = (file: string): Promise<string | undefined> =>
  readFile(file, 'utf8').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  })

async function isOld(file: string): Promise<boolean> {
  const stats = await stat(file).catch(() => undefined) // it may have been released
  return stats !== undefined && stats.mtimeMs < Date.now() - staleAfter
}
