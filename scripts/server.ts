import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'

/** A line of the server's log, parsed. */
export type LogLine = { readonly msg: string; readonly [key: string]: unknown }

/** A server in its own process, as users run it. */
export type ServerProcess = {
  readonly pid: number
  readonly port: number
  /** `127.0.0.1:<port>`, for image names. */
  readonly address: string
  /** All log lines so far. */
  readonly log: readonly LogLine[]
  /** Stops it, by default with SIGTERM, and returns its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | undefined>
}

/** The program of this checkout. */
const launcher = join(import.meta.dirname, '..', 'bin', 'nixery')

/**
 * Starts `nixery serve` on a free port of 127.0.0.1 and waits until it listens.
 * @param environment its settings, added to this process's environment
 * @param program the program to start; by default that of this checkout
 * @param under a command that starts it, such as `prlimit --nofile=256`
 * @throws Error with its output, if it exits before it listens
 */
export async function startServer(
  environment: Readonly<Record<string, string>>,
  program = launcher,
  under: readonly string[] = [],
): Promise<ServerProcess> {
  const [first, ...args] = [...under, program, 'serve']
  const server = execa(first, args, {
    env: { PORT: '0', NIXERY_HOST: '127.0.0.1', ...environment },
    buffer: false,
    reject: false,
    stdin: 'ignore',
    // More than an orderly exit takes on a busy machine.
    forceKillAfterDelay: 120_000,
  })
  const log: LogLine[] = []
  const printed: string[] = []
  let incomplete: string | undefined
  const ready = Promise.withResolvers<number>()
  createInterface({ input: server.stderr }).on('line', (line) => printed.push(line))
  createInterface({ input: server.stdout }).on('line', (line) => {
    printed.push(line)
    if (!line.startsWith('{')) return
    const entry = parseLine(line)
    if (!entry) {
      incomplete = line
      return
    }
    log.push(entry)
    // Without a package set, the server logs a warning and serves.
    if (entry.msg === 'ready' || entry.msg?.startsWith('started, but not ready')) {
      ready.resolve(Number(entry['port']))
    }
  })
  const ended = server.then((result) => {
    ready.reject(
      new Error(`the server exited with ${result.exitCode ?? result.signal}:\n${printed.join('\n')}`),
    )
    if (result.exitCode === 0 && incomplete !== undefined)
      throw new Error(`this line of the log is incomplete: ${incomplete}`)
    return result.exitCode
  })
  ended.catch(() => {}) // `stop` returns it
  const port = await ready.promise
  return {
    pid: server.pid ?? 0,
    port,
    address: `127.0.0.1:${port}`,
    log,
    async stop(signal = 'SIGTERM') {
      server.kill(signal)
      return ended
    },
  }
}

/** Undefined for an incomplete line, such as the last one of a killed process. */
function parseLine(line: string): LogLine | undefined {
  try {
    return JSON.parse(line) as LogLine
  } catch {
    return undefined
  }
}

/** Starts a server that outlives this process and logs to a file; returns its process id. */
export function startDetachedServer(environment: Readonly<Record<string, string>>, logFile: string): number {
  const output = openSync(logFile, 'a')
  const server = spawn(launcher, ['serve'], {
    env: { ...process.env, NIXERY_HOST: '127.0.0.1', ...environment },
    stdio: ['ignore', output, output],
    detached: true,
  })
  server.unref()
  closeSync(output)
  return server.pid ?? 0
}
