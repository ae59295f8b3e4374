import { NixeryError } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import { createBuildReport, type BuildReport } from './build-report.ts'
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
 * @throws BUILD_FAILED, BUILD_TIMEOUT, NIX_UNAVAILABLE, CANCELLED; see `DerivationGone`
 */
export async function realise(
  wanted: readonly Wanted[],
  root: string,
  builderTimeout: number,
  options: RunOptions,
): Promise<void> {
  const outputs = wanted.map(({ drvPath, output }) => `${drvPath}!${output}`)
  const flags = ['--timeout', String(builderTimeout), '--log-format', 'internal-json']
  const deadline = performance.now() + options.timeout
  const once = async () => {
    const report = createBuildReport(wanted.map(({ drvPath }) => drvPath))
    const result = await run(
      'nix-store',
      ['--realise', '--add-root', root, '--indirect', ...flags, ...outputs],
      {
        ...options,
        jsonLog: true,
        timeout: Math.max(1, Math.ceil(deadline - performance.now())),
        onLine(line, builder) {
          report.take(line, builder)
          options.onLine?.(line, builder)
        },
      },
    )
    return { result, report }
  }
  let { result, report } = await once()
  // Nix sometimes kills a builder that has done its work (17 of 2060 builds with 2.8): worth one more try.
  if (!result.ok && report.hasError(/failed due to signal 9/)) ({ result, report } = await once())
  if (!result.ok) throw failure(result, report, builderTimeout)
}

/**
 * Protects outputs that are valid already; builds and fetches nothing.
 * @returns false if one of them is not valid
 * @throws NIX_UNAVAILABLE, CANCELLED
 */
export async function protect(
  wanted: readonly Wanted[],
  root: string,
  options: RunOptions,
): Promise<boolean> {
  const paths = wanted.map(({ outputPath }) => outputPath)
  const flags = ['--add-root', root, '--indirect', '--option', 'substitute', 'false']
  const { ok } = await run('nix-store', ['--realise', ...flags, ...paths], options)
  return ok
}

/**
 * Nix does not have a derivation any more: its garbage collector has removed it since it was evaluated. Evaluating once
 * more makes it again.
 */
export class DerivationGone extends NixeryError<'BUILD_FAILED'> {}

const missingDerivation = /^\s*error: .*(cannot build missing derivation|failed to obtain derivation of) /

/** nix-store's exit status tells one kind of failure for sure, 101: a builder ran too long (nix-store(1)). */
function failure({ exitCode, timedOut }: Failed, report: BuildReport, builderTimeout: number): NixeryError {
  if (timedOut) {
    return new NixeryError('BUILD_TIMEOUT', `building took too long as a whole:\n${report.lastLines()}`, {
      hint: 'the operator can raise NIXERY_BUILD_TIMEOUT',
    })
  }
  if (exitCode === 101 || report.hasError(/timed out after \d+ seconds/)) {
    const message = `a package took more than ${builderTimeout} s to build:\n${report.lastLines()}`
    return new NixeryError('BUILD_TIMEOUT', message, { hint: 'the operator can raise NIX_TIMEOUT' })
  }
  // Not the last error where others were built beside it.
  if (report.hasError(missingDerivation)) {
    return new DerivationGone('BUILD_FAILED', `Nix has removed a package meanwhile:\n${report.text()}`, {
      hint: 'try again',
    })
  }
  const foreign = report.hasError(/is required to build .* but I am a|platform mismatch|system or feature/)
  return new NixeryError('BUILD_FAILED', `a package could not be built: ${report.text()}`, {
    ...(foreign && { hint: 'the operator must give Nix a machine of that platform to build on' }),
  })
}
