import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogLine } from '../scripts/server.ts'

/** A server in a separate process. */
export type Server = {
  readonly pid: number
  readonly port: number
  /** `http://127.0.0.1:<port>` */
  readonly origin: string
  /** Milliseconds from starting the process to the line `ready` in its log. */
  readonly startMs: number
  /** All JSON lines of its log so far. */
  log(): Promise<LogLine[]>
  stop(): Promise<void>
}

const launcher = join(import.meta.dirname, '..', 'bin', 'nixery')
// Milliseconds.
const startTimeout = 60_000
const endTimeout = 15_000

/**
 * Starts `nixery serve` on a free port of 127.0.0.1. Its log, at the default level, goes to a file: reading thousands of
 * lines per second from a pipe would take a core away from the measurement.
 * @throws Error with the end of its log, if it does not become ready
 */
export async function serve(
  environment: Readonly<Record<string, string>>,
  logFile: string,
  signal: AbortSignal,
): Promise<Server> {
  const output = openSync(logFile, 'a')
  const started = Date.now()
  const server = spawn(launcher, ['serve'], {
    env: { ...process.env, PORT: '0', NIXERY_HOST: '127.0.0.1', ...environment },
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  let ended = false
  const end = new Promise<void>((resolve) => {
    server.once('close', () => {
      ended = true
      resolve()
    })
  })
  const stop = async () => {
    server.kill()
    const deadline = setTimeout(() => server.kill('SIGKILL'), endTimeout)
    await end
    clearTimeout(deadline)
    process.off('exit', kill)
    signal.removeEventListener('abort', kill)
  }
  // Stops the server when this process exits for any reason.
  const kill = () => void server.kill()
  process.on('exit', kill)
  signal.addEventListener('abort', kill)
  const text = () => readFile(logFile, 'utf8')
  const log = async () => linesOf(await text())

  for (;;) {
    const ready = (await log()).find(({ msg }) => msg === 'ready')
    if (ready) {
      const port = Number(ready['port'])
      return {
        pid: server.pid ?? 0,
        port,
        origin: `http://127.0.0.1:${port}`,
        startMs: Date.parse(String(ready['time'])) - started,
        log,
        stop,
      }
    }
    if (ended || Date.now() - started > startTimeout) {
      await stop()
      throw new Error(`the server did not become ready:\n${(await text()).slice(-2_000)}`)
    }
    await sleep(10)
  }
}

const linesOf = (text: string): LogLine[] =>
  text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine)
