import { hidden } from './plain.ts'

// Where Nix says which code it was at, and what follows: an excerpt of that code.
const place = /^\s*(?:error: )?at \S.*:\d+:\d+:\s*$/
const excerpt = /^\s*\d*\|/
// A step of a trace, of newer versions of Nix and of older ones; that there could be more of it.
const step =
  /^\s*… \S|^\s*while (?:evaluating|calling)\b|^\s*\(?(?:stack )?trace truncated|^\s*\(?use '--show-trace'/

/**
 * Removes Nix's traces: the steps that lead to an error, places in the code, and lines of it.
 * @returns a function for the lines of one text, in order, that says whether a line belongs to a trace
 */
export function createTraceFilter(): (line: string) => boolean {
  let inExcerpt = false
  return (line) => {
    if (place.test(line)) return (inExcerpt = true)
    if (inExcerpt && (excerpt.test(line) || line.trim() === '')) return true
    inExcerpt = false
    return step.test(line)
  }
}

// Folders that are there on every machine say nothing of this one.
const common: ReadonlySet<string> = new Set([
  '/',
  '/bin',
  '/build',
  '/dev',
  '/etc',
  '/nix',
  '/nix/store',
  '/opt',
  '/srv',
  '/tmp',
  '/usr',
  '/var',
])

const pathEnd = '[^\\s\'"’”`<>|,;:()]*'

/**
 * Hides paths of the server in a line: those in the given folders, those of home folders, and files of Nix's
 * language. Of a line that is not a builder's (`all`), every absolute path outside of the store; what a builder says
 * of its own folders is of use to those who read it.
 * @param folders absolute paths
 */
export function createPathHider(folders: readonly string[]): (line: string, all: boolean) => string {
  const own = folders
    .map((folder) => folder.replace(/\/+$/, ''))
    .filter((folder) => folder.startsWith('/') && !common.has(folder))
    .sort((a, b) => b.length - a.length)
    .map((folder) => RegExp.escape(folder))
  const known = new RegExp(
    `(?<![\\w.-])(?:${[...own, '/root', '/(?:home|Users)/[\\w.-]{1,100}'].join('|')})(?![\\w.-])${pathEnd}`,
    'g',
  )
  return (line, everything) => {
    if (!line.includes('/')) return line
    const text = line
      .replace(/\b(?<kind>file:\/\/|path:)\/[^\s'"]*/g, (_, kind: string) => `${kind}${hidden}`)
      .replace(known, hidden)
      .replace(nixFile, hidden)
    return everything ? text.replace(quoted, `'${hidden}'`).replace(absolute, hidden) : text
  }
}

const nixFile = /(?<![\w/.…])\/[^\s'"«»(),;:]{1,400}?\.nix(?![\w.-])(?::\d+){0,2}/g
const quoted = /'\/(?!nix\/(?:store|var)\b)[^']{1,1000}'/g
const absolute = new RegExp(`(?<![\\w/.…])/(?!/|nix\\b)[\\w.+@%~]${pathEnd}`, 'g')
