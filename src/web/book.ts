import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemErrorCode } from '../errors.ts'
import { renderMarkdown, type Rendered } from './markdown.ts'

/** A page of the documentation. */
export type Chapter = Rendered & {
  /** `/docs/recipes` */
  readonly path: string
}

/** The documentation, as pages below `/docs`. */
export type Book = {
  /** The page at a path; undefined if it does not exist. Rendered on the first call. */
  find(path: string): Chapter | undefined
  /** The paths of all pages, in the order of the links on the start page. */
  readonly paths: readonly string[]
  /** The same except for the start page, by its headings. */
  readonly parts: readonly Part[]
}

type Part = {
  readonly title: string
  readonly pages: readonly { readonly path: string; readonly title: string }[]
}

/** The folder of the documents: in a checkout, or in the npm package, whose modules are one folder deeper. */
const folders = ['../../docs', '../../../docs'].map((path) => join(import.meta.dirname, path))

/** Opens the documentation of this program. It is empty if the installation does not include it. */
export function openBook(): Book {
  for (const folder of folders) {
    try {
      return bookOf(readFiles(folder))
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
    }
  }
  return { find: () => undefined, paths: [], parts: [] }
}

function readFiles(folder: string): Map<string, string> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.md'))
  const files = new Map(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
  return files.set('../CHANGELOG.md', readFileSync(join(folder, '..', 'CHANGELOG.md'), 'utf8'))
}

/** @param files Markdown by path, relative to the folder of the documents; `README.md` is the start page */
export function bookOf(files: ReadonlyMap<string, string>): Book {
  const byPath = new Map([...files.keys()].map((file) => [pathOf(file), file]))
  const linkOf = (href: string): string | undefined => {
    if (/^(https?:|#)/.test(href)) return href
    const [file = '', fragment] = href.split('#')
    if (!files.has(file)) return undefined
    return fragment === undefined ? pathOf(file) : `${pathOf(file)}#${fragment}`
  }
  const start = files.get('README.md') ?? ''
  const linkedIn = (text: string) => {
    const linked = [...text.matchAll(/\]\(([\w./-]+\.md)\)/g)].map(([, file = '']) => file)
    return [...new Set(linked)].filter((file) => files.has(file))
  }
  const linked = linkedIn(start)
  const parts = start
    .split(/^## /m)
    .map((text): Part => {
      const pages = linkedIn(text).map((file) => ({
        path: pathOf(file),
        title: titleOf(files.get(file) ?? ''),
      }))
      return { title: text.slice(0, text.indexOf('\n')), pages }
    })
    .filter(({ pages }) => pages.length > 0)
  const paths = new Set(['README.md', ...linked, ...files.keys()].map(pathOf))
  const rendered = new Map<string, Chapter>()
  return {
    paths: [...paths],
    parts,
    find(path) {
      const file = byPath.get(path)
      if (file === undefined) return undefined
      const chapter = rendered.get(path) ?? { path, ...renderMarkdown(files.get(file) ?? '', linkOf) }
      rendered.set(path, chapter)
      return chapter
    },
  }
}

/** The first heading of a document. */
const titleOf = (text: string): string => /^# (.*)$/m.exec(text)?.[1]?.replaceAll('`', '') ?? ''

const pathOf = (file: string): string => {
  const name = file
    .replace(/^\.\.\//, '')
    .replace(/\.md$/, '')
    .toLowerCase()
  return name === 'readme' ? '/docs' : `/docs/${name}`
}
