import { byText, storePathName, type StorePath } from '../image/store-path.ts'

/** A package with several paths in a closure, such as two versions of glibc. */
export type Duplicate = {
  readonly name: string
  /** Sorted; a version is repeated if the paths differ in something else. */
  readonly versions: readonly string[]
  /** The size of all its paths except the largest: the possible saving in bytes. */
  readonly extra: number
}

// Name, version and output, like Nix (`builtins.parseDrvName`): the version begins after the first dash that no letter
// follows. An output is the word at the end.
const parts = /^(?<name>.*?)(?:-(?<version>[^a-zA-Z].*?))?(?:-(?<output>[a-z]+))?$/

/**
 * The packages that occur more than once in a closure, the most expensive first. Outputs count as separate packages.
 * @param sizes bytes by store path
 */
export function duplicatesOf(sizes: ReadonlyMap<StorePath, number>): Duplicate[] {
  const paths = [...sizes].map(([path, size]) => {
    const { name = '', version = '', output } = parts.exec(storePathName(path))?.groups ?? {}
    return { name: output === undefined ? name : `${name}-${output}`, version, size }
  })
  const groups = Map.groupBy(
    paths.filter(({ version }) => version !== ''),
    ({ name }) => name,
  )
  return [...groups]
    .filter(([, same]) => same.length > 1)
    .map(([name, same]) => ({
      name,
      versions: same.map(({ version }) => version).sort(byText),
      extra: same.reduce((sum, { size }) => sum + size, 0) - Math.max(...same.map(({ size }) => size)),
    }))
    .sort((a, b) => b.extra - a.extra || byText(a.name, b.name))
}
