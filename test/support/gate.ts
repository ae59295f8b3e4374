import { readdirSync, readFileSync } from 'node:fs'

/** Blocks builders until the test opens it. Works across Nix's sandbox, which may have its own root and network. */
export type Gate = {
  /** The shell command with which a builder waits. */
  readonly wait: string
  /** Releases all waiting and future builders. */
  open(): void
  /** Releases the waiting builders for the last time. */
  dispose(): void
}

let count = 0

export function createGate(): Gate {
  // The unique duration of each gate identifies its processes.
  const duration = `600.${process.pid}0${(count += 1)}`
  let timer: NodeJS.Timeout | undefined
  const release = () => {
    for (const name of readdirSync('/proc')) {
      if (/^\d+$/.test(name) && commandOf(name) === `sleep\0${duration}\0`) kill(Number(name))
    }
  }
  return {
    // Not when the sleep ends otherwise: it cannot be started, or something else kills it.
    wait: `until sleep ${duration}; [ $? -eq 143 ]; do sleep 0.1; done`,
    open() {
      timer ??= setInterval(release, 50).unref()
    },
    dispose() {
      clearInterval(timer)
      release()
    },
  }
}

function commandOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return undefined // has ended
  }
}

function kill(pid: number) {
  try {
    process.kill(pid)
  } catch {
    // has ended
  }
}
