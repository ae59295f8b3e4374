import { readFileSync } from 'node:fs'

const interval = 200

/** Bytes of memory that a process has in use (its resident set), or undefined where that cannot be known. */
export function memoryOf(pid: number): number | undefined {
  try {
    // proc_pid_status(5). Of a process that has ended there is no such line.
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    return undefined // has ended, or a system without /proc
  }
}

/**
 * Calls `exceeded` once a process uses more than `limit` bytes. Address space would be simpler to limit, but Nix's
 * garbage collector reserves far more of it than it uses.
 * @returns ends the watching
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
