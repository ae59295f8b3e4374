import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { LogLine } from '../../scripts/server.ts'
import { launcher } from '../support/command.ts'

/** A server that is there to be killed, or to be harmed otherwise. */
export type Victim = {
  readonly pid: number
  /** `127.0.0.1:<port>`; rejected if it ends before it listens. */
  readonly address: Promise<string>
  readonly log: readonly LogLine[]
  /** What it printed, on either output, and is no line of the log as it should be: there is to be nothing. */
  readonly stray: readonly string[]
  /** Whether it was killed, from the moment on at which the signal is sent. */
  readonly isKilled: () => boolean
  /** Sends SIGKILL, at once, and comes back when it is dead. */
  kill(): Promise<void>
  /** Tells it to end, and gives its exit code. */
  stop(): Promise<number | null>
}

export type VictimOptions = {
  readonly environment: Readonly<Record<string, string>>
  /** Called with each line of the log, as it comes. */
  readonly onLine?: (line: LogLine) => void
}

/** Starts a server as users do. Nothing is waited for. */
export function startVictim({ environment, onLine }: VictimOptions): Victim {
  const child = spawn(launcher, ['serve'], {
    env: { ...process.env, PORT: '0', NIXERY_HOST: '127.0.0.1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log: LogLine[] = []
  const stray: string[] = []
  const address = Promise.withResolvers<string>()
  address.promise.catch(() => {}) // not everybody waits for it
  let killed = false

  createInterface({ input: child.stderr }).on('line', (line) => stray.push(line))
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = parse(text)
    // What a terminal would obey, or show in another order, is to be escaped. Of one that is killed, a line is cut off.
    if ((!line && !killed) || obeyed.test(text)) stray.push(text)
    if (!line) return
    log.push(line)
    if (line.msg === 'ready') address.resolve(`127.0.0.1:${String(line['port'])}`)
    onLine?.(line)
  })
  const ended = once(child, 'close').then(([code]) => {
    address.reject(new Error(`the server ended:\n${[...stray, ...log.map((line) => line.msg)].join('\n')}`))
    return code as number | null
  })
  return {
    pid: child.pid ?? 0,
    address: address.promise,
    log,
    stray,
    isKilled: () => killed,
    async kill() {
      killed = true
      child.kill('SIGKILL')
      await ended
    },
    stop() {
      child.kill('SIGTERM')
      return ended
    },
  }
}

const obeyed = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]/

function parse(text: string): LogLine | undefined {
  try {
    const line: unknown = JSON.parse(text)
    return line !== null && typeof line === 'object' && 'msg' in line ? (line as LogLine) : undefined
  } catch {
    return undefined
  }
}
