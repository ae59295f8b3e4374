import { readdirSync, readFileSync } from 'node:fs'

/** Something that builders wait at until a test lets them go on. Nix may give them a root and a network of their own. */
export type Gate = {
  /** What a builder runs to wait: shell text. */
  readonly wait: string
  /** Lets all builders go on that wait, and those that come later. */
  open(): void
  /** Ends the work of an open gate. */
  dispose(): void
}

let made = 0

export function createGate(): Gate {
  // Each gate has a duration of its own, by which its processes are known.
  const duration = `600.${process.pid}0${(made += 1)}`
  let timer: NodeJS.Timeout | undefined
  const letGo = () => {
    for (const name of readdirSync('/proc')) {
      if (/^\d+$/.test(name) && commandOf(name) === `sleep\0${duration}\0`) end(Number(name))
    }
  }
  return {
    wait: `sleep ${duration}`,
    open() {
      timer ??= setInterval(letGo, 50).unref()
    },
    dispose: () => clearInterval(timer),
  }
}

function commandOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return undefined // has ended
  }
}

function end(pid: number) {
  try {
    process.kill(pid)
  } catch {
    // has ended
  }
}
