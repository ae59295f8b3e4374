import { join } from 'node:path'
import { execa, type Options, type ResultPromise } from 'execa'

/** What users start. */
export const launcher = join(import.meta.dirname, '..', '..', 'bin', 'nixery')

/** Runs a command over a data folder and a package set, and never fails: its exit code is told. */
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
    // On a busy machine, ending in order takes longer than the five seconds after which execa kills.
    forceKillAfterDelay: 60_000,
    ...options,
  }) as ResultPromise<{ reject: false }>
}

/** Waits until a command that runs has said something on standard error, or has ended. */
export function untilSaid(run: ReturnType<typeof runNixery>, what: RegExp): Promise<void> {
  let said = ''
  return new Promise((resolve) => {
    run.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (what.test(said)) resolve()
    })
    run.stderr.once('close', resolve)
  })
}
