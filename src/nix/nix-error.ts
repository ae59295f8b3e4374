/** An error of Nix: its first line, and the indented lines that belong to it. */
export type NixError =
  /** A builder failed; `reason` is for example `failed with exit code 1`. */
  | { readonly kind: 'builder'; readonly drv: string; readonly reason: string }
  /** A package failed because a dependency failed. */
  | { readonly kind: 'cascade'; readonly drv: string | undefined }
  | { readonly kind: 'other'; readonly lines: readonly string[] }

/** Whether a line is the first line of an error. */
export const beginsError = (line: string): boolean => /^\s*error:\s*\S/.test(line)

/** Whether a line continues the error before it. */
export const continuesError = (line: string): boolean => /^ {7}/.test(line)

/** The message of older Nix versions for dependents of a failed package. */
export const isCascadeLine = (line: string): boolean => cascadeLine.test(line)

/** The reason of newer versions for it, below the first line of an error. */
export const isCascadeReason = (line: string): boolean =>
  /^\s+Reason: \d+ dependenc(?:y|ies) failed\.?$/.test(line)

/** The derivation in the first line of an error of newer versions. */
export const unbuildable = (line: string): string | undefined => cannotBuild.exec(line)?.groups?.['drv']

const cascadeLine =
  /^\s*error: (?:\d+ dependencies of derivation '(?<drv>[^']+)' failed to build|build of .* failed)$/
const cannotBuild = /^\s*error: Cannot build '(?<drv>[^']+\.drv)'\.$/
// 2.8 and 2.26; 2.34 gives the reason in a separate line.
const builderFailed = /^\s*error: builder for '(?<drv>[^']+\.drv)' (?<reason>failed .*?)[;:.]?$/
const builderReason = /^\s+Reason: builder (?<reason>failed .*?)[;:.]?$/

export function nixErrorOf(lines: readonly string[]): NixError {
  const [first = '', ...rest] = lines
  const old = builderFailed.exec(first)?.groups
  if (old) return { kind: 'builder', drv: old['drv'] ?? '', reason: old['reason'] ?? '' }
  const cascade = cascadeLine.exec(first)
  if (cascade) return { kind: 'cascade', drv: cascade.groups?.['drv'] }
  const drv = unbuildable(first)
  if (drv !== undefined) {
    if (rest.some(isCascadeReason)) return { kind: 'cascade', drv }
    const reason = rest.map((line) => builderReason.exec(line)?.groups?.['reason']).find(Boolean)
    if (reason !== undefined) return { kind: 'builder', drv, reason }
  }
  return { kind: 'other', lines: lines.filter((line) => !/^\s+(?:Output paths:$|\/nix\/store\/)/.test(line)) }
}
