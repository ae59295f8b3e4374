import { constants, setPriority } from 'node:os'
import { execa, type Options } from 'execa'
import { NixeryError } from '../errors.ts'
import { eachLine, printable } from '../text/lines.ts'
import type { Environment } from './environment.ts'
import { endGroup } from './group.ts'
import { createEventReader, maxEventLength } from './log-events.ts'
import { watchMemory } from './process-memory.ts'
import { lastErrorOf, messageOf } from './message.ts'
import { continuesError, isCascadeLine, isCascadeReason, unbuildable } from './nix-error.ts'

/** How to run a Nix process. */
export type RunOptions = {
  /** The complete environment: this program's own is not inherited (see `environment.ts`). */
  readonly environment: Environment
  /** Milliseconds after which the process is ended. */
  readonly timeout: number
  /** Bytes of memory above which the process is ended. */
  readonly memory?: number
  readonly signal?: AbortSignal | undefined
  /**
   * Also ends its child processes. git's connections are separate processes, and one that hangs would keep `run`
   * waiting for its standard error.
   */
  readonly group?: boolean
  /** Runs with the lowest CPU priority. */
  readonly lowPriority?: boolean
  /** Called with each line of standard error as it arrives, without control characters. */
  readonly onLine?: ((line: string, builder?: string) => void) | undefined
  /** Whether standard error is Nix's JSON log, which names the builder of each line; it is passed to `onLine`. */
  readonly jsonLog?: boolean
}

/** How the process ended. `lines` are the last lines of standard error. */
export type RunResult = { readonly ok: true; readonly stdout: string } | Failed

export type Failed = {
  readonly ok: false
  readonly exitCode: number | undefined
  readonly timedOut: boolean
  /** The process used more than `memory`. */
  readonly tooLarge?: true
  readonly lines: readonly string[]
}

const keptLines = 200

/** Gives a process the lowest CPU priority. */
export function giveWay(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW)
  } catch {
    // it has ended
  }
}

/**
 * Runs one of Nix's programs without a shell. Standard error is read as it arrives, in bounded memory, so that much of it
 * cannot block the process (the original reads it after standard output and hangs past 64 KiB).
 * @throws CANCELLED when the signal fires, NIX_UNAVAILABLE if the program does not exist or cannot work here
 */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  if (options.signal?.aborted) throw cancelled(options.signal.reason)
  const kept = createKeptLines(keptLines)
  let bug: { error: unknown } | undefined
  const settings = {
    env: options.environment,
    extendEnv: false,
    stdin: 'ignore',
    buffer: { stdout: true, stderr: false },
    maxBuffer: { stdout: 512 * 1024 * 1024 },
    reject: false,
    timeout: Math.ceil(options.timeout),
    forceKillAfterDelay: 5_000,
    detached: options.group ?? false,
    ...(options.signal && { cancelSignal: options.signal }),
  } as const satisfies Options
  const process = execa(program, args, settings)
  if (options.lowPriority && process.pid !== undefined) giveWay(process.pid)
  const ungroup = options.group ? endGroup(process.pid, options) : undefined
  let tooLarge = false
  const unwatch = watchMemory(process.pid, options.memory ?? Infinity, () => {
    tooLarge = true
    process.kill('SIGKILL')
  })
  const take = (raw: string, builder?: string) => {
    const line = printable(raw)
    kept.push(line)
    try {
      options.onLine?.(line, builder)
    } catch (error) {
      bug ??= { error }
      process.kill() // otherwise it would wait for a reader
    }
  }
  const stderr = process.iterable({ from: 'stderr', binary: true })
  const reading = options.jsonLog
    ? eachLine(stderr, createEventReader(take), maxEventLength)
    : eachLine(stderr, (raw) => take(raw))
  // If reading fails, so does the process, which `result` reports.
  const [result] = await Promise.all([process, reading.catch(() => {})])
  unwatch()
  ungroup?.()
  const lines = [...kept.lines]
  if (bug) throw bug.error
  if (!result.failed) return { ok: true, stdout: result.stdout }
  if (result.isCanceled) throw cancelled(result)
  if (result.code === 'ENOENT' || result.code === 'EACCES') throw noProgram(program, result)
  if (result.code !== undefined && exhaustion.has(result.code)) throw notStarted(program, result)
  if (tooLarge) return { ok: false, exitCode: undefined, timedOut: false, tooLarge, lines }
  if (storeTrouble.test(lastErrorOf(lines))) throw noStore(lines)
  if (result.signal && !result.timedOut) lines.push(`error: ${program} was ended by ${result.signal}`)
  return { ok: false, exitCode: result.exitCode, timedOut: result.timedOut, lines }
}

/** The failure of a process that was ended because its result is no longer needed. */
export const cancelled = (cause: unknown) =>
  new NixeryError('CANCELLED', 'all clients have disconnected', { cause })

const noProgram = (program: string, cause: unknown) =>
  new NixeryError('NIX_UNAVAILABLE', `${program} is not installed`, {
    cause,
    hint: `on Debian, install it with: apt-get install ${program === 'git' ? 'git' : 'nix-bin'}`,
  })

// Errors of fork(2), pipe(2) and similar calls, which are unrelated to the task.
const exhaustion: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'])

const notStarted = (program: string, cause: { readonly code?: string | undefined }) =>
  new NixeryError('NIX_UNAVAILABLE', `${program} temporarily cannot be started: ${cause.code}`, { cause })

// Messages of Nix about a store, database or daemon that it cannot use.
const storeTrouble =
  /^ *error: (opening lock file|remounting .* writable|could not set permissions on|creating directory|cannot connect to socket|Nix daemon disconnected|unexpected end-of-file$|cannot open SQLite|executing SQLite)/

const noStore = (lines: readonly string[]) =>
  new NixeryError('NIX_UNAVAILABLE', `Nix cannot work here:\n${messageOf(lines)}`, {
    hint: 'the operator must give this program write access to /nix, or access to a Nix daemon (NIX_REMOTE=daemon)',
  })

/** The last lines of a process, in bounded memory. */
export type KeptLines = {
  readonly lines: readonly string[]
  push(line: string): void
}

/**
 * Keeps the last lines, except those that only report that a dependent of a failed package fails as well, or that Nix is
 * waiting for a lock: there may be many of them, and they would displace the reason.
 */
export function createKeptLines(most: number): KeptLines {
  const lines: string[] = []
  let inCascade = false
  return {
    lines,
    push(line) {
      if (isCascadeLine(line) || /^waiting for (?:locks? |exclusive access )/.test(line)) return
      if (isCascadeReason(line)) {
        if (unbuildable(lines.at(-1) ?? '') !== undefined) lines.pop()
        inCascade = true
        return
      }
      // The paths that were to be built follow the reason.
      if (inCascade && continuesError(line)) return
      inCascade = false
      lines.push(line)
      if (lines.length > most) lines.shift()
    },
  }
}
