/** Worlds whose images exceed the layer limit: random ones, and ones from Debian's index. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseIndex } from '../../demo/debian-index.ts'
import { impliedPackages } from '../../src/image/name.ts'
import { recipes } from '../../src/image/recipes.ts'
import { byText, type PathFacts, type StorePath } from '../../src/image/store-path.ts'
import { factsOf, randomNumbers, storePathOf, type World } from './world.ts'

const seed = 1

/**
 * A random world: 40 paths that nearly all others refer to, libraries above them that refer to each other, and packages
 * that refer to neighbouring libraries. Sizes are log-normal with a median of 300 kB and a mean of 2.2 MB, like those of
 * the demo packages.
 * @param size the number of paths
 * @param width the number of neighbouring libraries from which a package picks: more give larger images
 */
export function syntheticWorld(size: number, width: number): World {
  const random = randomNumbers(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const narSize = (): number => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
    return Math.round(300_000 * Math.exp(2 * normal))
  }
  const base = 40
  const libraries = Math.round(size * 0.7)
  const paths = new Map<StorePath, PathFacts>()
  const made: StorePath[] = []
  for (let number = 0; number < size; number++) {
    const isPackage = number >= libraries
    const references = new Set<StorePath>(number > 0 ? made.slice(0, 1) : [])
    const pick = (from: number, to: number): void => {
      const path = made[from + below(to - from)]
      if (path) references.add(path)
    }
    if (number > 0) pick(0, Math.min(number, base))
    if (number >= base && !isPackage) {
      for (let left = below(4); left > 0; left--) pick(Math.max(0, number - 60), number)
    }
    if (isPackage) {
      const near = base + below(libraries - base)
      for (let left = width; left > 0; left--) pick(near, Math.min(libraries, near + 3 * width))
    }
    const name = number === 0 ? 'glibc-2.36' : `${isPackage ? 'tool' : 'lib'}${number}-1.${below(10)}`
    const path = storePathOf(name, String(seed))
    made.push(path)
    paths.set(path, factsOf(path, narSize(), [...references]))
  }
  return {
    name: `${size} paths at random`,
    packages: new Map(made.slice(libraries).map((path, index) => [`tool${index}`, path])),
    paths,
  }
}

/** Debian's packages for those that every image has, and for a shell. */
const counterparts: Readonly<Record<string, string>> = {
  cacert: 'ca-certificates',
  'iana-etc': 'netbase',
  bashInteractive: 'bash',
  coreutils: 'coreutils',
  moreutils: 'moreutils',
  nano: 'nano',
}

/**
 * A world of Debian's dependencies: random programs with closures of a given size. Undefined if the cache has no index
 * for this architecture; making the demo packages leaves one there.
 * @param cacheDirectory NIXERY_CACHE
 */
export async function debianWorld(
  cacheDirectory: string,
  count: number,
  [smallest, largest]: readonly [number, number],
): Promise<World | undefined> {
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const folder = join(cacheDirectory, 'debian', `apt-${architecture}`, 'lists')
  const files = await readdir(folder).catch(() => [])
  const lists = files.filter((file) => file.endsWith('_Packages')).sort(byText)
  if (lists.length === 0) return undefined
  const texts = await Promise.all(lists.map((file) => readFile(join(folder, file), 'utf8')))
  const index = parseIndex(texts)
  const programs = texts
    .flatMap((text) => Array.from(text.matchAll(/^Package: (.*)$/gm), ([, name]) => name as string))
    .filter((name) => !/^lib|-(dev|doc|data|dbg|dbgsym|common)$/.test(name))
  const names = [...new Set(programs)].sort(byText)

  const known = new Map<string, string[]>()
  const directly = (name: string): string[] => {
    const found = known.get(name) ?? neededBy(index, name)
    known.set(name, found)
    return found
  }
  const closureOf = (...roots: string[]): Set<string> => {
    const all = new Set(roots)
    for (const each of all) for (const other of directly(each)) all.add(other)
    return all
  }

  const random = randomNumbers(seed)
  const chosen = new Set<string>()
  for (let tries = 0; tries < 20_000 && chosen.size < count; tries++) {
    const name = names[Math.floor(random() * names.length)] as string
    const { size } = closureOf(name)
    if (size >= smallest && size <= largest) chosen.add(name)
  }
  const standing = [...impliedPackages, ...recipes.shell.packages].map((name) => counterparts[name] ?? name)
  const all = closureOf(...standing, ...chosen)
  const pathOf = (name: string): StorePath =>
    storePathOf(
      `${name}-${(index.find(name)?.version ?? '0').replaceAll(/[^0-9A-Za-z+\-._?=]/g, '_')}`,
      'debian',
    )
  const order = [...all].sort(byText)
  const facts = order.map((name) =>
    // A .deb has about a third of its unpacked size.
    factsOf(pathOf(name), 3 * (index.find(name)?.size ?? 0), directly(name).map(pathOf)),
  )
  return {
    name: `Debian, ${smallest} to ${largest} paths a program`,
    packages: new Map([
      ...[...impliedPackages, ...recipes.shell.packages].map(
        (name) => [name, pathOf(counterparts[name] ?? name)] as const,
      ),
      ...[...chosen].map((name) => [`debian-${name}`, pathOf(name)] as const),
    ]),
    paths: new Map(facts.map((one) => [one.storePath, one])),
  }
}

/** For each clause, the first alternative that exists, or a package that provides it. */
function neededBy(index: ReturnType<typeof parseIndex>, name: string): string[] {
  const found = (index.find(name)?.dependencies ?? []).flatMap((alternatives) => {
    for (const each of alternatives) {
      if (index.find(each)) return each
      const [provider] = index.providers(each)
      if (provider !== undefined) return provider
    }
    return []
  })
  return [...new Set(found)].filter((other) => other !== name)
}
