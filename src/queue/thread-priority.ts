import { getPriority, setPriority } from 'node:os'

/**
 * Lets other threads run before the calling one. Only on Linux, where 0 is the calling thread: elsewhere all threads of a
 * process have one priority. Does nothing if a sandbox forbids it, because it is only an optimization.
 * @param niceness added to the priority, as by nice(1)
 */
export function lowerThreadPriority(niceness: number): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, Math.min(getPriority(0) + niceness, 19))
  } catch {
    // A sandbox forbids it.
  }
}
