import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { LogLine } from '../../scripts/server.ts'
import { launcher } from '../support/command.ts'

/** A server to be killed or disrupted. */
export type Victim = {
  readonly pid: number
  /** `127.0.0.1:<port>`; rejects if the server exits before it listens. */
  readonly address: Promise<string>
  readonly log: readonly LogLine[]
  /** Printed lines that are not valid log lines; must be empty. */
  readonly stray: readonly string[]
  /** Whether `kill` was called. */
  readonly isKilled: () => boolean
  /** Sends SIGKILL, and resolves when the process has exited. */
  kill(): Promise<void>
  /** Sends SIGTERM, and resolves with the exit code. */
  stop(): Promise<number | null>
}

export type VictimOptions = {
  readonly environment: Readonly<Record<string, string>>
  /** Called for each log line. */
  readonly onLine?: (line: LogLine) => void
}

/** Starts a server as users do, without waiting for it. */
export function startVictim({ environment, onLine }: VictimOptions): Victim {
  const child = spawn(launcher, ['serve'], {
    env: { ...process.env, PORT: '0', NIXERY_HOST: '127.0.0.1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log: LogLine[] = []
  const stray: string[] = []
  const address = Promise.withResolvers<string>()
  address.promise.catch(() => {}) // callers may ignore it
  let killed = false

  createInterface({ input: child.stderr }).on('line', (line) => stray.push(line))
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = parse(text)
    // Control characters must be escaped. The last line of a killed server may be incomplete.
    if ((!line && !killed) || controlCharacters.test(text)) stray.push(text)
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

const controlCharacters = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]/

function parse(text: string): LogLine | undefined {
  try {
    const line: unknown = JSON.parse(text)
    return line !== null && typeof line === 'object' && 'msg' in line ? (line as LogLine) : undefined
  } catch {
    return undefined
  }
}
