import { NixeryError } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import { buildMessageOf, lastErrorOf } from './message.ts'
import { run, type Failed, type RunOptions } from './process.ts'

/** One output of a derivation. */
export type Wanted = {
  readonly drvPath: StorePath
  readonly output: string
  readonly outputPath: StorePath
}

/**
 * Has Nix build or fetch outputs, and protects them from its garbage collector by roots in a folder.
 * @param root the first root's path; further ones get a number appended by Nix
 * @param builderTimeout seconds that one builder may run (`NIX_TIMEOUT`); the whole has `options.timeout`
 * @throws BUILD_FAILED, BUILD_TIMEOUT, NIX_UNAVAILABLE, CANCELLED; see `isDerivationGone`
 */
export async function realise(
  wanted: readonly Wanted[],
  root: string,
  builderTimeout: number,
  options: RunOptions,
): Promise<void> {
  const outputs = wanted.map(({ drvPath, output }) => `${drvPath}!${output}`)
  const limits = ['--timeout', String(builderTimeout)]
  const deadline = performance.now() + options.timeout
  const once = () =>
    run('nix-store', ['--realise', '--add-root', root, '--indirect', ...limits, ...outputs], {
      ...options,
      timeout: Math.max(1, Math.ceil(deadline - performance.now())),
    })
  let result = await once()
  // Nix sometimes kills a builder that has done its work (17 of 2060 builds with 2.8): worth one more try.
  if (!result.ok && result.lines.some((line) => line.includes('failed due to signal 9')))
    result = await once()
  if (!result.ok) throw failure(result, builderTimeout)
}

/**
 * Whether a realisation failed because Nix does not have the derivation any more: its garbage collector has removed
 * it since it was evaluated. To evaluate once more makes it again.
 */
export const isDerivationGone = (error: unknown): boolean =>
  error instanceof NixeryError && error.detail === derivationGone

const derivationGone = 'derivation gone'
const missingDerivation = /^\s*error: .*(cannot build missing derivation|failed to obtain derivation of) /

/** nix-store's exit status tells one kind of failure for sure, 101: a builder ran too long (nix-store(1)). */
function failure({ exitCode, timedOut, lines }: Failed, builderTimeout: number): NixeryError {
  const message = buildMessageOf(lines)
  const error = lastErrorOf(lines)
  if (timedOut) {
    return new NixeryError('BUILD_TIMEOUT', `building took too long as a whole:\n${message}`, {
      hint: 'the operator can raise NIXERY_BUILD_TIMEOUT',
    })
  }
  if (exitCode === 101 || /timed out after \d+ seconds/.test(error)) {
    // Newer versions do not say which.
    const built = lines.findLast((line) => line.startsWith("building '"))
    const told = built === undefined ? message : `${built}\n${message}`
    return new NixeryError(
      'BUILD_TIMEOUT',
      `a package took more than ${builderTimeout} s to build:\n${told}`,
      {
        hint: 'the operator can raise NIX_TIMEOUT',
      },
    )
  }
  // Not the last error where others were built beside it.
  if (lines.some((line) => missingDerivation.test(line))) {
    return new NixeryError('BUILD_FAILED', `Nix has removed a package meanwhile:\n${message}`, {
      hint: 'try again',
      detail: derivationGone,
    })
  }
  const foreign = lines.some((line) => /is required to build .* but I am a|platform mismatch/.test(line))
  return new NixeryError('BUILD_FAILED', `a package could not be built:\n${message}`, {
    ...(foreign && { hint: 'the operator must give Nix a machine of that platform to build on' }),
  })
}
