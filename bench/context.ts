import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serve, type Server } from './serve.ts'

/** What a case can use. */
export type Context = {
  /** How often to repeat each measurement. */
  readonly runs: number
  /** Small inputs and few runs, to check that the benchmark works. */
  readonly quick: boolean
  /** Whether to run cases that take minutes to prepare the first time, too. */
  readonly slow: boolean
  /** A cache folder for later runs. */
  readonly cacheFolder: string
  /** The folder of the demo package set. */
  readonly packages: string
  /** Creates a folder, which is removed after the case. */
  folder(name: string): Promise<string>
  /** Settings for every server, to measure a configuration other than the default. */
  readonly settings: Readonly<Record<string, string>>
  /** The environment of a server that uses the demo packages and keeps its data in one folder. */
  environment(data: string): Record<string, string>
  /** Starts a server, which is stopped after the case if it still runs. */
  serve(environment: Readonly<Record<string, string>>): Promise<Server>
  /** Shows a line of progress. */
  readonly say: (line: string) => void
  /** Aborts the benchmark. */
  readonly signal: AbortSignal
}

export type ContextOptions = Pick<
  Context,
  'runs' | 'quick' | 'slow' | 'cacheFolder' | 'packages' | 'settings' | 'say' | 'signal'
>

/** Runs a case with a context, and cleans up afterwards. */
export async function withContext<T>(
  options: ContextOptions,
  use: (context: Context) => Promise<T>,
): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'nixery-bench-'))
  const servers: Server[] = []
  let count = 0
  const folder = async (name: string) => {
    const path = join(root, `${name}-${(count += 1)}`)
    await mkdir(path)
    return path
  }
  const context: Context = {
    ...options,
    folder,
    environment: (data) => ({
      NIXERY_PKGS_PATH: options.packages,
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIX_TIMEOUT: '600',
      ...options.settings,
    }),
    async serve(environment) {
      const logs = await folder('log')
      const server = await serve(environment, join(logs, 'log'), options.signal)
      servers.push(server)
      return server
    },
  }
  try {
    return await use(context)
  } finally {
    for (const server of servers) await server.stop()
    await rm(root, { recursive: true, force: true })
  }
}

/** Repeats a measurement one after another, and returns all results. */
export async function repeat<T>(
  times: number,
  { say, signal }: Pick<Context, 'say' | 'signal'>,
  what: string,
  work: (run: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = []
  for (let run = 0; run < times; run++) {
    signal.throwIfAborted()
    say(`${what} ${run + 1}/${times}`)
    results.push(await work(run))
  }
  return results
}
