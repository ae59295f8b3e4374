import { posix } from 'node:path'

/** An import of one module by another. */
export type Import = {
  readonly from: string
  /** The path of a file from the root, or the name of a package or Node module. */
  readonly to: string
  readonly inside: boolean
  readonly typeOnly: boolean
}

/** The source texts of modules, by path from the root, such as `src/main.ts`. */
export type Modules = ReadonlyMap<string, string>

// An import or export statement begins a line; its names contain no quotes, `=` or `(`.
const statement = /^(?:import|export)\b(?<names>[^'"`;=()]*?)\bfrom\s*['"](?<to>[^'"]+)['"]/gm
const bare = /^import\s*['"](?<to>[^'"]+)['"]/gm
const called = /\b(?<type>typeof\s+)?import\(\s*(?:['"](?<to>[^'"]+)['"])?/g
const worker = /\bnew URL\(\s*['"](?<to>[^'"]+\.ts)['"],\s*import\.meta\.url/g

/**
 * The imports of a module, in any form. An import whose target is not a literal is an import of `?`.
 * @param path of the module, from the root
 */
export function importsOf(path: string, text: string): Import[] {
  const found = [statement, bare, called, worker].flatMap((form) =>
    Array.from(text.matchAll(form), ({ groups = {} }) => {
      const typeOnly = /^\s*type\b(?!\s*,)/.test(groups['names'] ?? '') || groups['type'] !== undefined
      const inside = form === worker || /^\.\.?\//.test(groups['to'] ?? '')
      const to = inside ? posix.join(posix.dirname(path), groups['to'] ?? '') : (groups['to'] ?? '?')
      return { from: path, to, inside, typeOnly }
    }),
  )
  return /\b(?:createRequire|require)\s*\(/.test(text)
    ? [...found, { from: path, to: '?', inside: false, typeOnly: false }]
    : found
}

/** The package of a module name: `@a/b` for `@a/b/c`. */
export const packageOf = (name: string): string => name.split('/', name.startsWith('@') ? 2 : 1).join('/')

/** All modules reachable from `starts`, including `starts`, by imports of any form. */
export function reachedFrom(starts: Iterable<string>, imports: readonly Import[]): Set<string> {
  const targets = Map.groupBy(imports, ({ from }) => from)
  const reached = new Set<string>(starts)
  for (const module of reached) {
    for (const { to, inside } of targets.get(module) ?? []) if (inside) reached.add(to)
  }
  return reached
}

/** Groups of modules that import each other in a cycle, sorted; type imports count. */
export function cyclesIn(imports: readonly Import[]): string[][] {
  const modules = [...new Set(imports.map(({ from }) => from))].sort()
  const below = new Map(
    modules.map((module) => {
      const next = imports.filter(({ from, inside }) => inside && from === module).map(({ to }) => to)
      return [module, reachedFrom(next, imports)]
    }),
  )
  const circular = modules.filter((module) => below.get(module)?.has(module))
  const groups = Map.groupBy(circular, (module) =>
    circular.find((other) => below.get(module)?.has(other) && below.get(other)?.has(module)),
  )
  return [...groups.values()]
}
