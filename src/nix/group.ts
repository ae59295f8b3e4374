// Milliseconds from SIGTERM to SIGKILL: git removes its locks and unfinished files meanwhile.
const patience = 2_000

/**
 * Ends all of a process group when its time is over or the signal fires.
 * @param leader the process whose id the group has
 * @param timeout milliseconds
 * @returns ends the watching
 */
export function endGroup(
  leader: number | undefined,
  { timeout, signal }: { timeout: number; signal?: AbortSignal | undefined },
): () => void {
  if (leader === undefined) return () => {}
  let force: NodeJS.Timeout | undefined
  const send = (name: NodeJS.Signals) => {
    try {
      process.kill(-leader, name)
    } catch {
      // all of them have ended
    }
  }
  const end = () => {
    send('SIGTERM')
    force ??= setTimeout(send, patience, 'SIGKILL')
  }
  const timer = setTimeout(end, timeout)
  signal?.addEventListener('abort', end)
  return () => {
    clearTimeout(timer)
    clearTimeout(force)
    signal?.removeEventListener('abort', end)
  }
}
