import { hidden } from './plain.ts'

// The position in the code that Nix reports, and the excerpt of the code that follows.
const place = /^\s*(?:error: )?at \S.*:\d+:\d+:\s*$/
const excerpt = /^\s*\d*\|/
// A step of a trace, in newer and older versions of Nix; the note that the trace was truncated.
const step =
  /^\s*… \S|^\s*while (?:evaluating|calling)\b|^\s*\(?(?:stack )?trace truncated|^\s*\(?use '--show-trace'/

/**
 * Removes Nix's traces: the steps that lead to an error, code positions, and code excerpts.
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

// Folders that exist on every machine reveal nothing about this one.
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
 * Hides paths of the server in a line: those in the given folders and in home folders, and Nix files. In lines that do
 * not come from a builder (`all`), hides every absolute path outside of the store; paths in a builder's output are
 * useful to its readers.
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
