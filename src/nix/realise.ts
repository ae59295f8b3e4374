import { access, readdir, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import { createBuildReport, type BuildReport } from './build-report.ts'
import { FeaturesMissing, missingFeatures } from './missing-features.ts'
import { run, type Failed, type RunOptions } from './process.ts'

/** An output of a derivation, to be realised; or, without one, a path that evaluation has put into the store. */
export type WantedOutput = {
  readonly drvPath?: StorePath
  readonly output?: string
  readonly outputPath: StorePath
}

/**
 * Builds or fetches outputs, and protects them from the garbage collector with roots in a folder.
 * @param root the path of the first root, in a folder with nothing else; Nix appends numbers for further ones
 * @param builderTimeout seconds that one builder may run (`NIX_TIMEOUT`); the whole has `options.timeout`
 * @throws BUILD_FAILED, BUILD_TIMEOUT, PACKAGE_INVALID, NIX_UNAVAILABLE, CANCELLED; see `DerivationGone`
 */
export async function realise(
  wanted: readonly WantedOutput[],
  root: string,
  builderTimeout: number,
  options: RunOptions,
): Promise<void> {
  const outputs = wanted.map(({ drvPath, output, outputPath }) =>
    drvPath === undefined ? outputPath : `${drvPath}!${output}`,
  )
  const flags = ['--timeout', String(builderTimeout), '--log-format', 'internal-json']
  const missing = await missingDerivation(wanted)
  if (missing !== undefined) {
    // Valid outputs need none.
    if (await protect(wanted, root, options)) return checkOutputs(wanted, dirname(root))
    throw gone(`${missing} is not in the Nix store`)
  }
  const deadline = performance.now() + options.timeout
  const once = async () => {
    const report = createBuildReport(wanted.flatMap(({ drvPath }) => drvPath ?? []))
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
  // Nix sometimes kills a builder that has finished (17 of 2060 builds with 2.8): try once more.
  if (!result.ok && report.hasError(/failed due to signal 9/)) ({ result, report } = await once())
  if (!result.ok && (await isGone(wanted))) throw gone(report.text())
  if (!result.ok) throw failure(result, report, builderTimeout)
  await checkOutputs(wanted, dirname(root))
}

/** The first derivation that is not in the Nix store. */
async function missingDerivation(wanted: readonly WantedOutput[]): Promise<StorePath | undefined> {
  for (const { drvPath } of wanted) {
    if (drvPath === undefined) continue
    const code = await access(drvPath).then(() => undefined, systemErrorCode)
    if (code === 'ENOENT') return drvPath
  }
  return undefined
}

/** Whether a path that evaluation had put into the store is missing. Evaluating again restores it. */
async function isGone(wanted: readonly WantedOutput[]): Promise<boolean> {
  for (const { drvPath, outputPath } of wanted) {
    if (drvPath !== undefined) continue
    const code = await access(outputPath).then(() => undefined, systemErrorCode)
    if (code === 'ENOENT') return true
  }
  return false
}

/**
 * Checks that the outputs are what Nix has realised: a package set may give a package an `outPath` that is not the path
 * of its derivation's output.
 */
async function checkOutputs(wanted: readonly WantedOutput[], roots: string): Promise<void> {
  const links = await readdir(roots)
  const realised = new Set<string>(await Promise.all(links.map((link) => readlink(join(roots, link)))))
  const wrong = wanted.find(({ outputPath }) => !realised.has(outputPath))
  if (!wrong) return
  const { drvPath, output, outputPath } = wrong
  const name = nameOfPath(drvPath ?? outputPath).replace(/\.drv$/, '')
  throw new NixeryError(
    'PACKAGE_INVALID',
    `the package ${name} is wrong: its outPath, ${outputPath}, is not the output ${output} of its derivation`,
    { hint: 'the operator must fix the package set: outPath must come from the derivation itself' },
  )
}

/** The name in a store path, without the hash. */
const nameOfPath = (path: StorePath): string => path.slice(path.lastIndexOf('/') + 34)

/**
 * Protects outputs that are already valid; builds and fetches nothing.
 * @returns false if one of them is not valid
 * @throws NIX_UNAVAILABLE, CANCELLED
 */
export async function protect(
  wanted: readonly WantedOutput[],
  root: string,
  options: RunOptions,
): Promise<boolean> {
  const paths = wanted.map(({ outputPath }) => outputPath)
  const flags = ['--add-root', root, '--indirect', '--option', 'substitute', 'false']
  const { ok } = await run('nix-store', ['--realise', ...flags, ...paths], options)
  return ok
}

/**
 * The derivation is not in the Nix store: the garbage collector has removed it since the evaluation, or the evaluation did
 * not write to the store. Evaluating again with `instantiated` puts it there.
 */
export class DerivationGone extends NixeryError<'BUILD_FAILED'> {}

const gone = (reason: string): DerivationGone =>
  new DerivationGone(
    'BUILD_FAILED',
    `a derivation or a file that the build needs is not in the Nix store:\n${reason}`,
    {
      hint: 'try again',
    },
  )

const derivationLacks = /^\s*error: .*(cannot build missing derivation|failed to obtain derivation of) /

/** The exit status of nix-store is reliable for one kind of failure only, 101: a builder ran too long (nix-store(1)). */
function failure({ exitCode, timedOut }: Failed, report: BuildReport, builderTimeout: number): NixeryError {
  if (timedOut) {
    return new NixeryError('BUILD_TIMEOUT', `the build took too long:\n${report.lastLines()}`, {
      hint: 'the operator can raise NIXERY_BUILD_TIMEOUT',
    })
  }
  if (exitCode === 101 || report.hasError(/timed out after \d+ seconds/)) {
    const message = `a package took more than ${builderTimeout} s to build:\n${report.lastLines()}`
    return new NixeryError('BUILD_TIMEOUT', message, { hint: 'the operator can raise NIX_TIMEOUT' })
  }
  // Any error, not only the last one, since other packages may have been built at the same time.
  if (report.hasError(derivationLacks)) {
    return gone(report.text())
  }
  const missing = missingFeatures(report.text())
  if (missing) return new FeaturesMissing(missing)
  const foreign = report.hasError(/is required to build .* but I am a|platform mismatch|system or feature/)
  return new NixeryError('BUILD_FAILED', `a package could not be built: ${report.text()}`, {
    ...(foreign && { hint: 'the operator must configure a Nix builder for that platform' }),
  })
}
