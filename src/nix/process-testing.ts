import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until a process has ended. */
export async function ended(pid: number): Promise<void> {
  while (isAlive(pid)) await sleep(20)
}

/** Whether a process exists. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
