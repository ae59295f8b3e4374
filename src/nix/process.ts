import { stripVTControlCharacters } from 'node:util'
import { execa, type Options } from 'execa'
import { NixeryError } from '../errors.ts'

/** How one Nix process is run. */
export type RunOptions = {
  /** Added to the environment. */
  readonly environment: Readonly<Record<string, string>>
  /** Milliseconds after which it is ended. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
  /** Gets each line of standard error as it comes, without control characters. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** How it ended. `lines` are the last of standard error. */
export type RunResult =
  | { readonly ok: true; readonly stdout: string }
  | {
      readonly ok: false
      readonly exitCode: number | undefined
      readonly timedOut: boolean
      readonly lines: string[]
    }

const keptLines = 200
const maxLineLength = 2_000

/**
 * Runs one of Nix's programs, without a shell. Standard error is read as it comes, so that a long one can never
 * block the process (the original reads it after standard output and hangs past 64 KiB).
 * @throws CANCELLED when the signal fires, NIX_UNAVAILABLE when there is no such program
 */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const lines: string[] = []
  const settings = {
    env: options.environment,
    stdin: 'ignore',
    buffer: { stdout: true, stderr: false },
    maxBuffer: { stdout: 512 * 1024 * 1024 },
    reject: false,
    timeout: options.timeout,
    forceKillAfterDelay: 5_000,
    ...(options.signal && { cancelSignal: options.signal }),
  } as const satisfies Options
  const process = execa(program, args, settings)
  const reading = (async () => {
    for await (const raw of process.iterable({ from: 'stderr' })) {
      const line = printable(raw)
      lines.push(line)
      if (lines.length > keptLines) lines.shift()
      options.onLine?.(line)
    }
  })()
  // Its failure is the process's, which `result` tells.
  const [result] = await Promise.all([process, reading.catch(() => {})])
  if (!result.failed) return { ok: true, stdout: result.stdout }
  if (result.isCanceled) {
    throw new NixeryError('CANCELLED', 'nobody waits for this build any more', { cause: result })
  }
  if (result.code === 'ENOENT' || result.code === 'EACCES') throw noNix(program, result)
  return { ok: false, exitCode: result.exitCode, timedOut: result.timedOut, lines }
}

const noNix = (program: string, cause: unknown) =>
  new NixeryError('NIX_UNAVAILABLE', `Nix cannot be started: there is no ${program}`, {
    cause,
    hint: 'install Nix, on Debian with: apt-get install nix-bin',
  })

/** What a build prints is a stranger's: no escape sequences, no control characters, no endless lines. */
function printable(line: string): string {
  return stripVTControlCharacters(line)
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/g, '')
    .slice(0, maxLineLength)
}

/** What Nix says of a failed evaluation: from its first error on, the last `most` lines of it. */
export function messageOf(lines: readonly string[], most = 25): string {
  const first = lines.findIndex((line) => /^\s*error:/.test(line))
  return lastOf(lines.slice(Math.max(first, 0)), most)
}

/** What Nix says of a failed build: a builder's own last words stand before the error. */
export const buildMessageOf = (lines: readonly string[]): string => {
  const told = lines.filter((line) => !noise.test(line))
  return lastOf(told, 15)
}

// What Nix announces, and what this program has it do.
const noise = /^(warning:|building '|th(is|ese) .*will be (built|fetched)|\s+\/nix\/store\/)/

const lastOf = (lines: readonly string[], most: number): string =>
  lines
    .filter((line) => line.trim() !== '')
    .slice(-most)
    .join('\n') || 'Nix gave no reason'
