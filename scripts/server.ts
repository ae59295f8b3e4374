import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'

/** A line of the server's log, parsed. */
export type LogLine = { readonly msg: string; readonly [key: string]: unknown }

/** A server in a process of its own, as users run it. */
export type ServerProcess = {
  readonly pid: number
  readonly port: number
  /** `127.0.0.1:<port>`, for image names. */
  readonly address: string
  /** All log lines so far. */
  readonly log: readonly LogLine[]
  /** Ends it, by SIGTERM unless told otherwise, and gives its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | undefined>
}

/** The program of this checkout. */
const launcher = join(import.meta.dirname, '..', 'bin', 'nixery')

/**
 * Starts `nixery serve` on a free port of 127.0.0.1 and waits until it listens.
 * @param environment its configuration, added to this process's environment
 * @param program what is started; that of this checkout if it is not given
 * @param under a command that starts it, such as `prlimit --nofile=256`
 * @throws Error with what it printed, if it ends before it listens
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
    forceKillAfterDelay: 15_000,
  })
  const log: LogLine[] = []
  const printed: string[] = []
  let torn: string | undefined
  const ready = Promise.withResolvers<number>()
  createInterface({ input: server.stderr }).on('line', (line) => printed.push(line))
  createInterface({ input: server.stdout }).on('line', (line) => {
    printed.push(line)
    if (!line.startsWith('{')) return
    const entry = parseLine(line)
    if (!entry) {
      torn = line
      return
    }
    log.push(entry)
    // Without a package set it says so, and serves.
    if (entry.msg === 'ready' || entry.msg?.startsWith('started, but not ready')) {
      ready.resolve(Number(entry['port']))
    }
  })
  const ended = server.then((result) => {
    ready.reject(
      new Error(`the server ended with ${result.exitCode ?? result.signal}:\n${printed.join('\n')}`),
    )
    if (result.exitCode === 0 && torn !== undefined) throw new Error(`this line of the log is torn: ${torn}`)
    return result.exitCode
  })
  ended.catch(() => {}) // unless `stop` is called
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

/** Undefined for a line that was cut off, as the last one of a process that was killed may be. */
function parseLine(line: string): LogLine | undefined {
  try {
    return JSON.parse(line) as LogLine
  } catch {
    return undefined
  }
}

/** Starts a server that outlives this process, its log in a file, and gives its process id. */
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
