import type { DebClosure } from './closure.ts'
import { upstreamVersion } from './debian-version.ts'
import { debsOf, units as definitions } from './packages.ts'
import { placeEntries, type Source, type Unit } from './units.ts'

/** Node's program, which does not come from Debian. */
export type NodeInput = { version: string; source: Source }

/**
 * Groups the packages of a closure into units, by the table in packages.ts; packages that it does not name
 * become separate units. `sources` has the archive of each package.
 */
export function assembleUnits(
  closure: DebClosure,
  sources: ReadonlyMap<string, Source>,
  node: NodeInput | undefined,
  triplet: string,
): Map<string, Unit> {
  const unitOf = new Map(Object.keys(definitions).flatMap((key) => debsOf(key).map((deb) => [deb, key])))
  const inUnit = (deb: string): string => unitOf.get(deb) ?? deb
  const packages = new Map(closure.packages.map((deb) => [deb.name, deb]))
  const keys = [...new Set(closure.packages.map((deb) => inUnit(deb.name)))].sort()
  const units = keys.map((key): Unit => {
    const definition = definitions[key] ?? {}
    const debs = debsOf(key).flatMap((name) => packages.get(name) ?? [])
    const [main] = debs
    const own = debs.flatMap((deb) => sources.get(deb.name) ?? [])
    const depends =
      definition.ignoresDepends === true
        ? []
        : debs.flatMap((deb) => closure.dependencies.get(deb.name) ?? [])
    return {
      key,
      definition,
      pname: (definition.pname ?? key).replaceAll(/[^0-9A-Za-z+._-]/g, '-'),
      version: upstreamVersion(main?.version ?? '0'),
      summary: main?.summary ?? '',
      homepage: main?.homepage,
      sources: own,
      placed: placeEntries(own, definition, triplet),
      depends: [...new Set(depends.map(inUnit))].filter((other) => other !== key).sort(),
    }
  })
  if (node !== undefined) units.push(nodeUnit(node, triplet))
  return new Map(units.map((unit) => [unit.key, unit]))
}

function nodeUnit({ version, source }: NodeInput, triplet: string): Unit {
  const definition = definitions['nodejs'] ?? {}
  return {
    key: 'nodejs',
    definition,
    pname: 'nodejs',
    version,
    summary: 'Event-driven I/O framework for the V8 JavaScript engine',
    homepage: 'https://nodejs.org',
    sources: [source],
    placed: placeEntries([source], definition, triplet),
    depends: [],
  }
}
