import { constants, setPriority } from 'node:os'
import { extname, join } from 'node:path'
import { execa, type Options } from 'execa'
import { NixeryError } from './errors.ts'
import type { Collected } from './upkeep/collected.ts'

export type PreviewOptions = {
  /** The environment with the server's settings. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The maximum number of images that are listed. */
  readonly listed: number
  /** Bytes of memory for objects; with more, it is given up. */
  readonly memory: number
  /** Milliseconds after which it is given up. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/**
 * Finds out what a garbage collection would remove, by `nixery gc --dry-run` in a separate process with the lowest
 * priority: the server needs its thread and its memory for pulls.
 * @throws STORE_UNAVAILABLE if it fails, needs too much time or memory, or is aborted
 */
export async function previewCleanup(options: PreviewOptions): Promise<Collected> {
  const { environment, listed, memory, timeout, signal } = options
  const program = join(import.meta.dirname, 'cli', `main${extname(import.meta.filename)}`)
  const command = ['gc', '--dry-run', '--json', '--list', String(listed)]
  const settings = {
    env: environment,
    extendEnv: false,
    stdin: 'ignore',
    reject: false,
    timeout,
    cancelSignal: signal,
    forceKillAfterDelay: 5_000,
  } as const satisfies Options
  const heap = `--max-old-space-size=${Math.ceil(memory / 2 ** 20)}`
  const child = execa(process.execPath, [...process.execArgv, heap, program, ...command], settings)
  try {
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
  } catch {
    // it has ended
  }
  const result = await child
  if (!result.failed) return JSON.parse(result.stdout) as Collected
  const why = result.timedOut
    ? `it takes longer than ${timeout / 60_000} minutes`
    : /out of memory/.test(result.stderr) // V8's last words; its signal depends on the machine
      ? `it needs more than ${Math.round(memory / 1e6)} MB of memory`
      : result.stderr || result.shortMessage
  throw new NixeryError('STORE_UNAVAILABLE', `nixery gc --dry-run: ${why}`)
}
