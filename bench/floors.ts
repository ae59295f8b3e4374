import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execa } from 'execa'
import type { BlocksJob, BlocksResult } from './child/blocks.ts'
import type { Context } from './context.ts'
import type { ExpandJob, ExpandResult } from './child/expand.ts'
import type { PackJob, PackResult } from './child/pack.ts'
import type { ReceiveJob } from './child/receive.ts'

/** References: what the machine reaches without this program. Each runs in its own process, so none warms up another. */

export const cores = availableParallelism()

const childFile = (name: string) => join(import.meta.dirname, 'child', `${name}.ts`)

async function ask<T>(
  child: string,
  job: unknown,
  signal: AbortSignal,
  env: Readonly<Record<string, string>> = {},
) {
  const { stdout } = await execa(process.execPath, [childFile(child), JSON.stringify(job)], {
    env,
    stdin: 'ignore',
    stderr: 'inherit',
    cancelSignal: signal,
  })
  return JSON.parse(stdout) as T
}

/** Processes the tar blocks of these store paths; see `child/blocks.ts`. */
export const overBlocks = (
  job: Pick<BlocksJob, 'what' | 'paths' | 'rounds'> & Partial<BlocksJob>,
  { settings, signal }: Pick<Context, 'settings' | 'signal'>,
): Promise<BlocksResult> =>
  ask('blocks', { threads: cores, limit: Number.MAX_SAFE_INTEGER, ...job }, signal, settings)

/** Packs layers like a server with this environment; see `child/pack.ts`. */
export const packAlone = (
  job: PackJob,
  environment: Record<string, string>,
  signal: AbortSignal,
): Promise<PackResult> => ask('pack', job, signal, environment)

/** Expands the files of NARs; see `child/expand.ts`. */
export const expandAlone = (job: ExpandJob, signal: AbortSignal): Promise<ExpandResult> =>
  ask('expand', job, signal)

/** Milliseconds per round to receive these bytes and discard them. */
export const receive = (job: ReceiveJob, signal: AbortSignal): Promise<number[]> =>
  ask('receive', job, signal)

/** Pins all threads of a process to these cores, such as `0` or `0-3`. */
export const pinTo = (pid: number, list: number | string) =>
  execa('taskset', ['--all-tasks', '--cpu-list', '--pid', String(list), String(pid)], { stdin: 'ignore' })

/** Runs a program of `child/` while `use` runs. */
export async function withChild<T>(
  name: 'empty' | 'cat' | 'flood' | 'same-bytes' | 'link',
  args: readonly string[],
  signal: AbortSignal,
  use: (port: number, pid: number) => Promise<T>,
): Promise<T> {
  const child = execa(process.execPath, [childFile(name), ...args], {
    stdin: 'ignore',
    stderr: 'inherit',
    buffer: false,
    reject: false,
    cancelSignal: signal,
  })
  const lines = createInterface({ input: child.stdout })
  try {
    const port = await new Promise<number>((resolve, reject) => {
      lines.once('line', (line) => resolve(Number(line)))
      lines.once('close', () => reject(new Error(`${name} did not start`)))
    })
    return await use(port, child.pid ?? 0)
  } finally {
    child.kill()
    await child
  }
}
