import { readFileSync } from 'node:fs'

const interval = 200

/** The resident set of a process in bytes; undefined if unknown. */
export function memoryOf(pid: number): number | undefined {
  try {
    // proc_pid_status(5). A process that has ended has no such line.
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    return undefined // the process has ended, or the system has no /proc
  }
}

/**
 * Calls `exceeded` once a process uses more than `limit` bytes. Limiting the address space would be simpler, but Nix's
 * garbage collector reserves far more than it uses.
 * @returns a function that stops watching
 */
export function watchMemory(pid: number | undefined, limit: number, exceeded: () => void): () => void {
  if (pid === undefined) return () => {}
  const timer = setInterval(() => {
    if ((memoryOf(pid) ?? 0) <= limit) return
    clearInterval(timer)
    exceeded()
  }, interval)
  return () => clearInterval(timer)
}
