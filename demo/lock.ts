import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemErrorCode } from '../src/errors.ts'

/**
 * Runs `work` while no other process does so under the same lock file; `waiting` is called once if another does.
 * The file holds the owner's process id, so that the lock of a process that died is taken over.
 */
export async function withLock<T>(
  file: string,
  options: { waiting: () => void; signal: AbortSignal | undefined },
  work: () => Promise<T>,
): Promise<T> {
  await mkdir(dirname(file), { recursive: true })
  for (let told = false; !(await acquire(file));) {
    if (!told) options.waiting()
    told = true
    await setTimeout(300, undefined, options.signal && { signal: options.signal })
  }
  try {
    return await work()
  } finally {
    await rm(file, { force: true })
  }
}

async function acquire(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx')
    await handle.writeFile(String(process.pid))
    await handle.close()
    return true
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
  }
  const owner = Number(await readFile(file, 'utf8').catch(() => ''))
  // An empty file is one that its owner is just about to fill.
  if (owner > 0 && !isRunning(owner)) await rm(file, { force: true })
  return false
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return systemErrorCode(error) === 'EPERM'
  }
}
