// `PACKAGE--VERSION` names a version of a package: `python3--3.11`. Image references have no `+`, `~` or capitals, so
// versions are compared in a folded form.

/** A package of a certain version. */
export type Versioned = {
  /** The name of the package, as it would be without the version. */
  readonly name: string
  /** The folded version, or the beginning of one. */
  readonly version: string
}

const versioned = /^(?<name>[A-Za-z0-9_](?:-?[A-Za-z0-9_.])*)--(?<version>[A-Za-z0-9][A-Za-z0-9._-]*)$/

/** Splits `python3--3.11`; undefined for a name without a version. */
export function splitVersion(text: string): Versioned | undefined {
  const { name, version } = versioned.exec(text)?.groups ?? {}
  if (name === undefined || version === undefined) return undefined
  const folded = foldVersion(version)
  return folded === '' ? undefined : { name, version: folded }
}

/** A version as it can be written in a name: `1.2+git` is `1.2-git`. */
export const foldVersion = (version: string): string =>
  version
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, '-')
    .replace(/[-.]*\.[-.]*/g, '.')
    .replace(/^[-.]+|[-.]+$/g, '')

/** The name of a package of a version. */
export const formatVersioned = ({ name, version }: Versioned): string => `${name}--${version}`

/** The components of a version, as in Nix (`builtins.splitVersion`): numbers and words. */
const componentsOf = (version: string): string[] => version.match(/\d+|[a-z]+/g) ?? []

/** Whether a folded version is the wanted one or begins with its components: `3.11` is one of `3.11.4`, `3.1` is not. */
export function matchesVersion(wanted: string, version: string): boolean {
  if (wanted === version) return true
  const components = componentsOf(version)
  return componentsOf(wanted).every((component, index) => components[index] === component)
}

/** Orders folded versions like Nix (`builtins.compareVersions`): negative if the first is older. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [componentsOf(a), componentsOf(b)]
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const [one = '', other = ''] = [left[index], right[index]]
    if (isBefore(one, other)) return -1
    if (isBefore(other, one)) return 1
  }
  return 0
}

const isNumber = (text: string): boolean => /^\d+$/.test(text)

/** `componentsLT` of Nix (libstore/names.cc). */
function isBefore(a: string, b: string): boolean {
  if (isNumber(a) && isNumber(b)) return BigInt(a) < BigInt(b)
  if (a === '' && isNumber(b)) return true
  if (a === 'pre' && b !== 'pre') return true
  if (b === 'pre') return false
  if (isNumber(b)) return true
  if (isNumber(a)) return false
  return a < b
}
