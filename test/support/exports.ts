import { posix } from 'node:path'
import type { Modules } from './imports.ts'

/** A name that one module imports from another; `*` for all names. */
type Use = { readonly from: string; readonly to: string; readonly name: string }

const declaration =
  /^export\s+(?:declare\s+|abstract\s+|async\s+)*(?<kind>const|let|function\*?|class|type|interface|enum)\s+(?<name>[\w$]+)/gm
const importList =
  /^(?:import|export)\s+(?:type\s+)?(?:[\w$]+\s*,\s*)?\{(?<names>[^}]*)\}\s*from\s*'(?<to>[^']+)'/gm
const everything = /^(?:import|export)\s+(?:type\s+)?\*[^'"]*?from\s*'(?<to>[^']+)'/gm
const awaitedList = /\{(?<names>[^{}]*)\}\s*=\s*await\s+import\(\s*'(?<to>[^']+)'/g
const anyDynamic = /\bimport\(\s*'(?<to>[^']+)'/g

/**
 * Exports that nothing uses: values that no other module imports; values that only tests import and that their own
 * module does not use; types that not even their own module uses. (A type of an exported function's parameters is
 * exported with it, even if no module imports the type.)
 * @param isTest whether a module exists only for tests
 * @returns `src/a.ts: name`, in order
 */
export function deadExports(modules: Modules, isTest: (path: string) => boolean): string[] {
  const uses = Map.groupBy(
    [...modules].flatMap(([path, text]) => usesIn(path, text)),
    ({ to }) => to,
  )
  return [...modules].flatMap(([path, text]) => {
    const importers = uses.get(path) ?? []
    const code = text.replaceAll('...', ' ') // `...a` uses `a`; `x.a` does not
    const isDead = ({ kind, name }: { kind: string; name: string }): boolean => {
      const users = importers.filter((use) => use.name === name || use.name === '*')
      const usedHere =
        code.match(new RegExp(`(?<![\\w$.])${RegExp.escape(name)}(?![\\w$])`, 'g'))?.length !== 1
      if (kind === 'type' || kind === 'interface') return users.length === 0 && !usedHere
      if (users.length === 0) return true
      return !isTest(path) && !usedHere && users.every(({ from }) => isTest(from))
    }
    const exported = Array.from(text.matchAll(declaration), ({ groups = {} }) => ({
      kind: groups['kind'] ?? '',
      name: groups['name'] ?? '',
    }))
    return exported.filter(isDead).map(({ name }) => `${path}: ${name}`)
  })
}

function usesIn(path: string, text: string): Use[] {
  const target = (to = ''): string => posix.join(posix.dirname(path), to)
  const listed = [importList, awaitedList].flatMap((form) =>
    Array.from(text.matchAll(form), ({ groups = {} }) =>
      namesIn(groups['names'] ?? '').map((name) => ({ from: path, to: target(groups['to']), name })),
    ).flat(),
  )
  const awaited = new Set(Array.from(text.matchAll(awaitedList), ({ groups = {} }) => groups['to']))
  const whole = [everything, anyDynamic].flatMap((form) =>
    Array.from(text.matchAll(form), ({ groups = {} }) => groups['to']).filter((to) => !awaited.has(to)),
  )
  return [...listed, ...whole.map((to) => ({ from: path, to: target(to), name: '*' }))]
}

/** The imported names of a list: `a` and `b` of `a, type b as c`, or of the destructuring `a, b: c`. */
const namesIn = (list: string): string[] =>
  list
    .split(',')
    .map((item) => /^(?:type\s+)?([\w$]+)/.exec(item.trim())?.[1])
    .filter((name) => name !== undefined)
