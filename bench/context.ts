import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serve, type Server } from './serve.ts'

/** What a case has at hand. */
export type Context = {
  /** How often each thing is measured. */
  readonly runs: number
  /** Whether small inputs and few runs do, to see that the benchmark works. */
  readonly quick: boolean
  /** The folder of the demo package set. */
  readonly packages: string
  /** A new folder, removed with all in it after the case. */
  folder(name: string): Promise<string>
  /** Variables that every server gets, to measure another configuration than the default. */
  readonly settings: Readonly<Record<string, string>>
  /** The environment of a server over the demo packages with all it keeps in one folder. */
  environment(data: string): Record<string, string>
  /** Starts a server, which is ended after the case if it still runs. */
  serve(environment: Readonly<Record<string, string>>): Promise<Server>
  /** Tells what is going on, for whoever waits. */
  readonly say: (line: string) => void
  /** Fires when the benchmark is to end. */
  readonly signal: AbortSignal
}

export type ContextOptions = Pick<Context, 'runs' | 'quick' | 'packages' | 'settings' | 'say' | 'signal'>

/** Gives a context to a case, and cleans up behind it. */
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

/** Does something so many times, one after another, and gives what each gave. */
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
