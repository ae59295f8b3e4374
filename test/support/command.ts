import { join } from 'node:path'
import { execa, type Options, type ResultPromise } from 'execa'

/** The launcher that users run. */
export const launcher = join(import.meta.dirname, '..', '..', 'bin', 'nixery')

/** Runs a command with a data folder and a package set. Never rejects: the result has the exit code. */
export function runNixery(
  data: string,
  packages: string,
  args: readonly string[],
  { env, ...options }: Options = {},
) {
  return execa(launcher, args, {
    env: {
      NIXERY_DATA: data,
      NIXERY_PKGS_PATH: packages,
      NIX_TIMEOUT: '600',
      CI: undefined,
      ...env,
    },
    stdin: 'ignore',
    reject: false,
    // execa's default of 5 s is too short for a graceful exit on a busy machine.
    forceKillAfterDelay: 60_000,
    ...options,
  }) as ResultPromise<{ reject: false }>
}

/** Waits until a running command prints a match on standard error, or exits. */
export function untilPrints(run: ReturnType<typeof runNixery>, pattern: RegExp): Promise<void> {
  let printed = ''
  return new Promise((resolve) => {
    run.stderr.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
      if (pattern.test(printed)) resolve()
    })
    run.stderr.once('close', resolve)
  })
}
