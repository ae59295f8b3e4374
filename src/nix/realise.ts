import { NixeryError } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import { buildMessageOf, run, type RunOptions, type RunResult } from './process.ts'

/** One output of a derivation. */
export type Wanted = { readonly drvPath: StorePath; readonly output: string }

/**
 * Has Nix build or fetch outputs, and protects them from its garbage collector by roots in a folder.
 * @param root the first root's path; further ones get a number appended by Nix
 * @param builderTimeout seconds that one builder may run (`NIX_TIMEOUT`); the whole has `options.timeout`
 * @throws BUILD_FAILED, BUILD_TIMEOUT, NIX_UNAVAILABLE, CANCELLED
 */
export async function realise(
  wanted: readonly Wanted[],
  root: string,
  builderTimeout: number,
  options: RunOptions,
): Promise<void> {
  const outputs = wanted.map(({ drvPath, output }) => `${drvPath}!${output}`)
  const limits = ['--timeout', String(builderTimeout)]
  const once = () =>
    run('nix-store', ['--realise', '--add-root', root, '--indirect', ...limits, ...outputs], options)
  let result = await once()
  // Nix sometimes kills a builder that has done its work (17 of 2060 builds with 2.8): worth one more try.
  if (!result.ok && result.lines.some((line) => line.includes('failed due to signal 9')))
    result = await once()
  if (!result.ok) throw failure(result, builderTimeout)
}

/** nix-store's exit status has 1 for a failed builder and 101 for one that ran too long (nix-store(1)). */
function failure(result: Extract<RunResult, { ok: false }>, builderTimeout: number): NixeryError {
  const message = buildMessageOf(result.lines)
  if (result.timedOut) {
    return new NixeryError('BUILD_TIMEOUT', `building took too long as a whole:\n${message}`, {
      hint: 'the operator can raise NIXERY_BUILD_TIMEOUT',
    })
  }
  if (result.exitCode === 101 || /timed out after \d+ seconds/.test(result.lines.join('\n'))) {
    return new NixeryError(
      'BUILD_TIMEOUT',
      `a package took more than ${builderTimeout} s to build:\n${message}`,
      {
        hint: 'the operator can raise NIX_TIMEOUT',
      },
    )
  }
  return new NixeryError('BUILD_FAILED', `a package could not be built:\n${message}`)
}
