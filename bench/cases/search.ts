import { join } from 'node:path'
import { openIndex, writeIndex } from '../../src/search/index-file.ts'
import type { PackageEntry } from '../../src/search/entry.ts'
import { atMost, type Case, type Row } from '../case.ts'
import { seeded, type Numbers } from '../seed.ts'

const size = 100_000
// The results of a page, and one more to detect a next page.
const page = 16

/** Packages with descriptions in which the frequencies of words are as uneven as in real ones. */
function packages(count: number, below: Numbers): PackageEntry[] {
  const words = Array.from({ length: 20_000 }, () =>
    Array.from({ length: 3 + below(8) }, () => String.fromCharCode(97 + below(26))).join(''),
  )
  const word = () => words[Math.floor(words.length ** (below(1_000_000) / 1_000_000)) - 1] ?? 'word'
  const prefixes = ['', '', '', 'python3packages.', 'haskellpackages.', 'perlpackages.']
  return Array.from({ length: count }, (_, index) => {
    const attribute = `${prefixes[below(prefixes.length)]}${word()}-${word()}${index}`
    return {
      name: attribute,
      attribute,
      pname: attribute.split('.').at(-1) ?? '',
      version: `1.${below(50)}`,
      description: Array.from({ length: 8 }, word).join(' '),
      homepage: undefined,
      license: 'MIT',
      programs: below(3) === 0 ? [`${word()}${index}`] : [],
    }
  })
}

export const search: Case = {
  name: 'search',
  what:
    `An index of ${size} made-up packages: writing it, and queries as somebody types them, for ${page} results: from one ` +
    'letter to a whole word, two words, and three of the most common words. In this process, without HTTP.',
  async run(context): Promise<Row[]> {
    const below = seeded(7)
    const entries = packages(context.quick ? size / 10 : size, below)
    const file = join(await context.folder('search'), 'index.db')
    context.say('writing the index')
    const started = performance.now()
    writeIndex(file, { revision: 'bench', rules: 'bench', madeAt: 0 }, entries)
    const written = performance.now() - started
    const index = openIndex(file)
    const timed = (text: string): number => {
      const begun = performance.now()
      for (const { id } of index.matches(text, page)) void index.entry(id)
      return performance.now() - begun
    }
    const texts = Array.from({ length: 200 }, () => entries[below(entries.length)]?.description ?? '')
    const wordOf = (text: string) => text.split(' ')[below(8)] ?? ''
    const kinds: [name: string, query: (text: string) => string][] = [
      ['one letter', (text) => wordOf(text).slice(0, 1)],
      ['two letters', (text) => wordOf(text).slice(0, 2)],
      ['four letters', (text) => wordOf(text).slice(0, 4)],
      ['a word', wordOf],
      ['two words', (text) => `${wordOf(text)} ${wordOf(text)}`],
      ['three common words', () => entries[0]?.description?.split(' ').slice(0, 3).join(' ') ?? ''],
    ]
    for (const text of texts.slice(0, 20)) timed(wordOf(text))
    const rows = kinds.map(([name, query]): Row => ({
      name: `search: ${name}`,
      unit: 'ms',
      values: texts.map((text) => timed(query(text))),
      target: atMost(10),
    }))
    index.close()
    return [{ name: 'writing the index', unit: 'ms', values: [written] }, ...rows]
  },
}
