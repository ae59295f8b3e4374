import type { Annotations } from './oci.ts'
import { byText, storePathName, type StorePath } from './store-path.ts'

/** What is read of an output for labels. */
export type LabelledOutput = {
  readonly drvPath: StorePath
  readonly output: string
  readonly outputPath: StorePath
  /** An SPDX expression. */
  readonly license?: string | undefined
  /** Every image has it. */
  readonly implied: boolean
}

// Characters of a label.
const mostTitle = 250
const mostLicenses = 2_000

const prefix = 'org.opencontainers.image.'

/**
 * The labels of an image that its packages give it (OCI image spec, annotations.md): `title`, `version` of a single
 * package, and `licenses` if each package says its own. They are functions of the outputs: what the packages were
 * called in the image's name, and the revision that they are from, have no part in them. What every image has is not
 * told of, unless there is nothing else.
 */
export function labelsOf(outputs: readonly LabelledOutput[]): Record<string, string> {
  const own = outputs.filter(({ implied }) => !implied)
  const told = own.length > 0 ? own : outputs
  const packages = [...new Map(told.map((one) => [one.drvPath, { ...one, ...nameOf(one) }])).values()]
  const title = titleOf([...new Set(packages.map(({ name }) => name))].sort(byText))
  const [only, ...others] = packages
  const licenses = joined(packages.map(({ license }) => license))
  return {
    ...(title !== '' && { [`${prefix}title`]: title }),
    ...(only?.version && others.length === 0 && { [`${prefix}version`]: only.version }),
    ...(licenses !== undefined && { [`${prefix}licenses`]: licenses }),
  }
}

/** Labels of an image that tell the commit it was made from, for those who want it to have other bytes by each. */
export const commitLabels = ({ id, created, source }: CommitFacts): Record<string, string> => ({
  [`${prefix}created`]: created,
  [`${prefix}revision`]: id,
  ...(source !== undefined && { [`${prefix}source`]: source }),
})

/** A commit of a package set. */
export type CommitFacts = {
  /** 40 hexadecimal digits. */
  readonly id: string
  /** When it was made: `2026-01-31T12:00:00Z`. */
  readonly created: string
  /** The address of its repository. */
  readonly source?: string | undefined
}

/** The label that the operator sets for all images. */
export const urlLabel = (url: string | undefined): Record<string, string> =>
  url === undefined ? {} : { [`${prefix}url`]: url }

/** Of an image's labels, those that its manifest repeats, for who reads no config. */
export const annotationsOf = (labels: Readonly<Record<string, string>> = {}): Annotations =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => name.startsWith(prefix)))

/**
 * Name and version as Nix takes them apart (`builtins.parseDrvName`): the version begins at the first dash that no
 * letter follows. The name of a derivation is in its outputs' paths, whatever the package set calls it.
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

/** Sorted, each once. Half of an expression would say something else: nothing is said then. */
function joined(licenses: readonly (string | undefined)[]): string | undefined {
  const known = [...new Set(licenses.filter((license) => license !== undefined))].sort(byText)
  if (known.length === 0 || licenses.includes(undefined)) return undefined
  const parts = known.map((text) => (text.includes(' ') && known.length > 1 ? `(${text})` : text))
  const expression = parts.join(' AND ')
  return expression.length <= mostLicenses ? expression : undefined
}
