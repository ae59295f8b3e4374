// Milliseconds from SIGTERM to SIGKILL, in which git removes its locks and unfinished files.
const patience = 2_000

/**
 * Ends a process group after a timeout, or when the signal fires.
 * @param leader the leader of the group
 * @param timeout milliseconds
 * @returns a function that stops watching
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
