import type { Annotations } from './oci.ts'
import { byText, storePathName, type StorePath } from './store-path.ts'

/** The facts of an output that labels use. */
export type LabelledOutput = {
  readonly drvPath: StorePath
  readonly output: string
  readonly outputPath: StorePath
  /** An SPDX expression. */
  readonly license?: string | undefined
  /** Whether every image has it. */
  readonly implied: boolean
}

// Characters of a label.
const mostTitle = 250
const mostLicenses = 2_000

const prefix = 'org.opencontainers.image.'

/**
 * The labels of an image that follow from its packages (OCI image spec, annotations.md): `title`, `version` for a single
 * package, and `licenses` if every package has one. They depend on the outputs only, not on the requested names or the
 * revision of the package set. Packages that every image has are omitted, unless there are no others.
 */
export function labelsOf(outputs: readonly LabelledOutput[]): Record<string, string> {
  const own = outputs.filter(({ implied }) => !implied)
  const described = own.length > 0 ? own : outputs
  const packages = [...new Map(described.map((one) => [one.drvPath, { ...one, ...nameOf(one) }])).values()]
  const title = titleOf([...new Set(packages.map(({ name }) => name))].sort(byText))
  const [only, ...others] = packages
  const licenses = joined(packages.map(({ license }) => license))
  return {
    ...(title !== '' && { [`${prefix}title`]: title }),
    ...(only?.version && others.length === 0 && { [`${prefix}version`]: only.version }),
    ...(licenses !== undefined && { [`${prefix}licenses`]: licenses }),
  }
}

/** Labels with the commit of the package set, for operators who want a different image for each commit. */
export const commitLabels = ({ id, created, source }: CommitFacts): Record<string, string> => ({
  [`${prefix}created`]: created,
  [`${prefix}revision`]: id,
  ...(source !== undefined && { [`${prefix}source`]: source }),
})

/** Labels with the commits of packages that come from other commits, for the same operators. */
export const commitsOf = (
  packages: readonly { readonly attribute: string; readonly commit?: string | undefined }[],
): Record<string, string> =>
  Object.fromEntries(
    packages.flatMap(({ attribute, commit }) =>
      commit === undefined ? [] : [[`dev.nixery.revision.${attribute}`, commit]],
    ),
  )

/** A commit of a package set. */
export type CommitFacts = {
  /** 40 hexadecimal digits. */
  readonly id: string
  /** The time of the commit: `2026-01-31T12:00:00Z`. */
  readonly created: string
  /** The URL of the repository. */
  readonly source?: string | undefined
}

/** The label that the operator sets for all images. */
export const urlLabel = (url: string | undefined): Record<string, string> =>
  url === undefined ? {} : { [`${prefix}url`]: url }

/** The labels of an image that its manifest repeats, for clients that do not read the config. */
export const annotationsOf = (labels: Readonly<Record<string, string>> = {}): Annotations =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => name.startsWith(prefix)))

/**
 * Splits name and version like Nix (`builtins.parseDrvName`): the version begins after the first dash that is not followed
 * by a letter. The name of the derivation is part of its output paths, whatever its attribute is called.
 */
function nameOf({ output, outputPath }: LabelledOutput): { name: string; version: string | undefined } {
  const full = storePathName(outputPath)
  const suffix = `-${output}`
  const whole = output !== 'out' && full.endsWith(suffix) ? full.slice(0, -suffix.length) : full
  const [, name = whole, version] = /^(.*?)(?:-([^a-zA-Z].*))?$/.exec(whole) ?? []
  return { name, version }
}

function titleOf(names: readonly string[]): string {
  const whole = names.join(', ')
  if (whole.length <= mostTitle) return whole
  const shown: string[] = []
  let length = ' and 999 more'.length
  for (const name of names) {
    length += name.length + 2
    if (length > mostTitle) break
    shown.push(name)
  }
  return `${shown.join(', ')} and ${names.length - shown.length} more`
}

/** Sorted, without duplicates. Omitted if one license is unknown, since an incomplete expression would be wrong. */
function joined(licenses: readonly (string | undefined)[]): string | undefined {
  const known = [...new Set(licenses.filter((license) => license !== undefined))].sort(byText)
  if (known.length === 0 || licenses.includes(undefined)) return undefined
  const parts = known.map((text) => (text.includes(' ') && known.length > 1 ? `(${text})` : text))
  const expression = parts.join(' AND ')
  return expression.length <= mostLicenses ? expression : undefined
}
