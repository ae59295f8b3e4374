import { posix } from 'node:path'
import { planMoves } from './moves.ts'
import { placeholders } from './packages.ts'
import type { Wiring } from './references.ts'
import type { Placed, Unit } from './units.ts'

/**
 * The instructions for nix/builder.sh to make a unit's store path: calls of its functions, with `@unit@` for
 * the store path of another unit and `@out@` for its own. `files` are the contents of the files that definitions
 * may add.
 */
export function writePlan(
  unit: Unit,
  wiring: Wiring,
  options: { dynamicLinker: string; files: ReadonlyMap<string, string> },
): string {
  const lines = [
    ...moveLines(unit),
    ...overwriteLines(unit),
    ...repointLines(unit),
    ...linkLines(unit, wiring),
    ...patchLines(unit, wiring, options.dynamicLinker),
    ...interpreterLines(unit, wiring),
    ...wrapperLines(unit, wiring),
    ...Object.entries(unit.definition.files ?? {}).map(([to, name]) =>
      hereDocument(['add', to], options.files.get(name) ?? ''),
    ),
    ...(unit.definition.finish === undefined ? [] : [`cd "$out"`, unit.definition.finish]),
    ...splitLines(unit),
    ...propagateLines(unit, wiring),
  ]
  const plan = `${lines.join('\n')}\n`
  const known = new Set(['out', ...wiring.of(unit).all])
  const unknown = placeholders(plan).filter((name) => !known.has(name))
  if (unknown.length > 0)
    throw new Error(`${unit.key} names ${unknown.join(', ')}, to which it has no reference`)
  return plan
}

function moveLines(unit: Unit): string[] {
  const destinations = new Map([...unit.placed.values()].map((each) => [each.path, each.to]))
  const paths = unit.sources.flatMap((source) => source.entries.filter((entry) => entry.kind !== 'directory'))
  const { moves, renames } = planMoves(new Map(paths.map(({ path }) => [path, destinations.get(path)])))
  return [
    ...moves.map(({ into, paths: moved }) => command('move', into, ...moved)),
    ...renames.map(({ from, to }) => command('rename', from, to)),
  ]
}

function overwriteLines(unit: Unit): string[] {
  return (unit.definition.overwrites ?? []).flatMap(({ text, by, inFilesNamed = '' }) =>
    distinctFiles(unit)
      .filter(({ to }) => posix.basename(to).startsWith(inFilesNamed))
      .flatMap(({ to, found }) =>
        (found.get(text) ?? []).map((at) => command('overwrite', to, String(at), String(text.length), by)),
      ),
  )
}

function repointLines(unit: Unit): string[] {
  return (unit.definition.repoints ?? []).flatMap(({ text, by }) =>
    distinctFiles(unit).flatMap(({ to, repoints }) => {
      const how = repoints.get(text)
      if (how === undefined) return []
      const patches = how.patches.flatMap(({ at, bytes }) => [String(at), escaped(bytes)])
      const copies = (how.copies ?? []).map((at) =>
        command('repoint', to, String(at), String(how.length), by),
      )
      return [command('repoint', to, String(how.room), String(how.length), by, ...patches), ...copies]
    }),
  )
}

const escaped = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')

/** A unit's files without duplicates: hard links are one file with several names. */
const distinctFiles = (unit: Unit): Placed[] => {
  const files = [...unit.placed.values()].filter((each) => each.kind === 'file')
  return [...new Map(files.toReversed().map((file) => [file.inode, file])).values()].toReversed()
}

function linkLines(unit: Unit, wiring: Wiring): string[] {
  const lines = [...unit.placed.values()].flatMap((each) => {
    const target = rewrittenTarget(unit, each, wiring)
    return target === undefined || target === each.target ? [] : command('link', each.to, target)
  })
  const added = Object.entries(unit.definition.links ?? {}).map(([from, to]) => command('link', from, to))
  return [...lines, ...added]
}

/** The target of a link in the store path; the old target if no unit has the file. */
function rewrittenTarget(unit: Unit, link: Placed, wiring: Wiring): string | undefined {
  const { pointsTo, target, to } = link
  if (pointsTo === undefined) return target
  const other = wiring.linkUnit(unit, link)
  if (other !== undefined) return `@${other}@/${pointsTo}`
  const isOwn =
    unit.placed.has(pointsTo) || [...unit.placed.keys()].some((path) => path.startsWith(`${pointsTo}/`))
  return isOwn ? posix.relative(posix.dirname(to), pointsTo) : target
}

function patchLines(unit: Unit, wiring: Wiring, dynamicLinker: string): string[] {
  const groups = new Map<string, { interpreter: string; searchPath: string; files: string[] }>()
  for (const { to, elf } of distinctFiles(unit)) {
    // The C library and its loader are not patched.
    if (unit.key === 'libc6' && !to.startsWith('bin/')) continue
    if (elf === undefined || (elf.needed.length === 0 && elf.interpreter === undefined)) continue
    const places = elf.needed.flatMap((name) => wiring.findLibrary(unit, name) ?? [])
    const folders = places.map((place) => `@${place.unit === unit.key ? 'out' : place.unit}@/${place.folder}`)
    const searchPath = [...new Set(folders)].join(':')
    const interpreter =
      elf.interpreter === undefined ? '' : `@${unit.key === 'libc6' ? 'out' : 'libc6'}@/lib/${dynamicLinker}`
    const key = `${interpreter} ${searchPath}`
    const group = groups.get(key) ?? { interpreter, searchPath, files: [] }
    groups.set(key, { ...group, files: [...group.files, to] })
  }
  return [...groups.values()].map(({ interpreter, searchPath, files }) =>
    command('patch', interpreter, searchPath, ...files.sort()),
  )
}

function interpreterLines(unit: Unit, wiring: Wiring): string[] {
  return [...unit.placed.values()].flatMap((script) => {
    const found = wiring.interpreter(unit, script)
    if (found === undefined) return []
    const path = `@${found.unit === unit.key ? 'out' : found.unit}@/bin/${found.program}`
    return command('interpreter', script.to, `#!${path}${found.rest === '' ? '' : ` ${found.rest}`}`)
  })
}

const wrapperLines = (unit: Unit, wiring: Wiring): string[] =>
  Object.entries(wiring.wrappers(unit)).map(([path, variables]) => {
    const lines = Object.entries(variables).map(([name, value]) => `export ${name}="${value}"\n`)
    return hereDocument(['wrap', path, '@bash@/bin/bash'], lines.join(''))
  })

function splitLines(unit: Unit): string[] {
  const folders = { out: undefined, bin: 'bin', man: 'share/man', doc: 'share/doc' }
  return (unit.definition.outputs ?? []).flatMap((output) => {
    const folder = folders[output]
    return folder === undefined ? [] : `split "$${output}" ${folder}`
  })
}

function propagateLines(unit: Unit, wiring: Wiring): string[] {
  const { propagated } = wiring.of(unit)
  return propagated.length === 0 ? [] : [command('propagate', ...propagated.map((key) => `@${key}@`))]
}

const command = (name: string, ...words: string[]): string => [name, ...words.map(quote)].join(' ')

/** A word that needs no quoting in the shell. */
const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`

const hereDocument = (words: [string, ...string[]], content: string): string =>
  `${command(...words)} <<'END OF FILE'\n${content}END OF FILE`
