import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import pLimit from 'p-limit'
import { NixeryError } from '../src/errors.ts'
import { openApt, type Apt } from './apt.ts'
import { readArchive } from './archive.ts'
import { assembleUnits } from './assemble.ts'
import { attributes, attributeUnits, existingAttributes } from './attributes.ts'
import { resolveClosure } from './closure.ts'
import { parseIndex, type DebianIndex, type DebPackage } from './debian-index.ts'
import { debStoreName, fetchDebs, hashFile } from './debs.ts'
import { architectures, type DebianArchitecture } from './layout.ts'
import { narHash } from './nar.ts'
import { fetchNodePackage, pinnedNodePackages } from './node-package.ts'
import { debsOf, ignored, namedUnits, units as definitions } from './packages.ts'
import { writePlan } from './plan.ts'
import { wire, type Wiring } from './references.ts'
import { makeSeed, seedDebs } from './seed.ts'
import { mainProgram, type Source, type Unit } from './units.ts'

/** Debian's packages for one architecture. */
export type Debian = {
  apt: Apt
  index: DebianIndex
  /** The folder of .debs. */
  folder: string
}

/** The inputs for making a package set, and its progress. */
export type Making = {
  /** Opens Debian's archive; always the same one for an architecture. */
  debian(architecture: DebianArchitecture): Promise<Debian>
  /** The folder in which the set is assembled; exists and is empty. */
  folder: string
  /** The folder of downloads. */
  cacheDirectory: string
  progress: (line: string) => void
  signal: AbortSignal | undefined
}

/** Fetches and parses Debian's lists. Throws SETUP_FAILED. */
export async function openDebian(
  architecture: DebianArchitecture,
  { cacheDirectory, progress, signal }: Pick<Making, 'cacheDirectory' | 'progress' | 'signal'>,
): Promise<Debian> {
  const cache = join(cacheDirectory, 'debian')
  const apt = await openApt({ folder: join(cache, `apt-${architecture}`), architecture, progress, signal })
  progress(`${architecture}: fetching Debian's package lists`)
  await apt.update()
  return { apt, index: parseIndex(await apt.packageLists()), folder: join(cache, 'packages') }
}

const nixFiles = new URL('nix/', import.meta.url)

/** Writes the files for all architectures: default.nix, the builder, and the seed for the host. */
export async function generateCommon(making: Making, host: DebianArchitecture): Promise<void> {
  for (const name of ['default.nix', 'flake.nix', 'builder.sh']) {
    await copyFile(new URL(name, nixFiles), join(making.folder, name))
  }
  const debian = await making.debian(host)
  const debs = seedDebs.map((name) => found(debian.index, name))
  const paths = await fetchDebs({ debs, ...debian, progress: making.progress })
  const seed = join(making.folder, 'seed')
  await makeSeed(seed, paths, host)
  const info = { system: architectures[host].system, sha256: await narHash(seed) }
  await writeFile(join(making.folder, 'seed.json'), json(info))
}

/** Writes the packages of one architecture. Throws SETUP_FAILED if they cannot be fetched. */
export async function generateArchitecture(making: Making, architecture: DebianArchitecture): Promise<void> {
  const { folder, progress, signal } = making
  const { triplet, dynamicLinker } = architectures[architecture]
  const debian = await making.debian(architecture)
  const named = Object.values(definitions).flatMap(namedUnits)
  const roots = [...attributeUnits(), ...named].flatMap(debsOf)
  const closure = resolveClosure(debian.index, roots, ignored)
  if (closure.unresolved.length > 0)
    progress(`${architecture}: not in Debian: ${closure.unresolved.join('; ')}`)
  const paths = await fetchDebs({ debs: closure.packages, ...debian, progress })
  const [node] = await pinnedNodePackages([architecture])
  const nodePath =
    node && (await fetchNodePackage(node, { folder: join(making.cacheDirectory, 'npm'), progress, signal }))

  progress(`${architecture}: reading ${closure.packages.length} packages`)
  const into = join(folder, 'sources')
  await mkdir(into, { recursive: true })
  const limit = pLimit(2)
  const read = (path: string, name: string, sha256: string): Promise<Source> =>
    limit(async () => {
      await copyFile(path, join(into, name))
      return {
        file: name,
        sha256,
        entries: await readArchive(path, { search: searched, repoint: repointed, signal }),
      }
    })
  const sources = await Promise.all(
    closure.packages.map(
      async (deb) =>
        [deb.name, await read(paths.get(deb.name) ?? '', debStoreName(deb), deb.sha256)] as const,
    ),
  )
  const nodeInput = node &&
    nodePath !== undefined && {
      version: node.version,
      source: await read(nodePath, basename(nodePath), (await hashFile(nodePath, 'sha256', 'hex')) ?? ''),
    }
  const units = assembleUnits(closure, new Map(sources), nodeInput || undefined, triplet)
  const wiring = wire(units)
  await mkdir(join(folder, architecture, 'plans'), { recursive: true })
  const files = await additionalFiles()
  for (const unit of units.values()) {
    const plan = writePlan(unit, wiring, { dynamicLinker, files })
    await writeFile(join(folder, architecture, 'plans', `${unit.key}.sh`), plan)
  }
  const described = [...units.values()].map((unit) => [unit.key, describeUnit(unit, wiring)] as const)
  const packages = {
    attributes: existingAttributes(attributes, (key) => units.has(key)),
    units: Object.fromEntries(described),
  }
  await writeFile(join(folder, architecture, 'packages.json'), json(packages))
  progress(`${architecture}: ${units.size} packages; ${wiring.cut.length} circular references left out`)
}

const searched = Object.values(definitions).flatMap((each) => (each.overwrites ?? []).map(({ text }) => text))

const repoints = Object.values(definitions).flatMap((each) => each.repoints ?? [])
const repointed = new Map(
  repoints.map(({ library }) => [
    library,
    repoints.filter((each) => each.library === library).map(({ text }) => text),
  ]),
)

async function additionalFiles(): Promise<Map<string, string>> {
  const names = Object.values(definitions).flatMap((each) => Object.values(each.files ?? {}))
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readFile(new URL(name, nixFiles), 'utf8')] as const),
    ),
  )
}

/** The facts about a unit that default.nix reads. */
function describeUnit(unit: Unit, wiring: Wiring): Record<string, unknown> {
  const { pname, version, definition, summary, homepage } = unit
  const { priority, license, outputs = ['out'] } = definition
  const program = mainProgram(unit)
  return {
    name: definition.storeName ?? `${pname}-${version}`,
    pname,
    version,
    outputs,
    meta: {
      description: summary,
      ...(homepage && { homepage }),
      ...(program && { mainProgram: program }),
      ...(priority !== undefined && { priority }),
      ...(license !== undefined && { license: { spdxId: license } }),
      outputsToInstall: installed(outputs),
    },
    sources: unit.sources.map(({ file, sha256 }) => ({ file, sha256 })),
    references: wiring.of(unit).all,
  }
}

/** As in nixpkgs: the programs, and the manual. */
const installed = (outputs: readonly string[]): string[] => [
  outputs.includes('bin') ? 'bin' : 'out',
  ...outputs.filter((output) => output === 'man'),
]

function found(index: DebianIndex, name: string): DebPackage {
  const deb = index.find(name)
  if (deb !== undefined) return deb
  throw new NixeryError(
    'SETUP_FAILED',
    `the Debian mirror has no package ${name}; is it a complete mirror of Debian 12?`,
  )
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 1)}\n`
