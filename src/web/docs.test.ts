import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bookOf, openBook } from './book.ts'
import { docsPage } from './docs.ts'
import { readAssets } from './assets.ts'
import { documentOf } from './layout.ts'
import { renderMarkdown } from './markdown.ts'

const book = openBook()
const chapters = book.paths.map((path) => {
  const chapter = book.find(path)
  assert.ok(chapter, path)
  return chapter
})

describe('the documentation', () => {
  it('starts with the start page, which links to all other pages', () => {
    const start = book.find('/docs')
    assert.ok(start)
    const links = [...start.markup.matchAll(/href="(\/docs\/[^"#]+)/g)].map(([, path]) => path)
    assert.deepEqual(new Set(links), new Set(book.paths.slice(1)))
  })

  for (const { path, title, markup, ids } of chapters) {
    it(`has only valid links in ${path}`, () => {
      assert.notEqual(title, '')
      for (const [, href = ''] of markup.matchAll(/href="([^"]*)"/g)) {
        if (/^https?:/.test(href)) continue
        const [page = '', fragment] = href.split('#')
        const target = page === '' ? { ids } : book.find(page)
        assert.ok(target, `${href} in ${path}`)
        if (fragment !== undefined) assert.ok(target.ids.has(fragment), `${href} in ${path}`)
      }
    })
  }

  it('links to the previous and next chapters', () => {
    const small = bookOf(
      new Map([
        ['README.md', '# Start\n\n[b](b.md) [a](a.md)'],
        ['a.md', '# A'],
        ['b.md', '# B'],
      ]),
    )
    const chapter = small.find('/docs/b')
    assert.ok(chapter)
    const frame = { assets: readAssets(), version: '1', composes: false, searches: false }
    const page = documentOf(frame, docsPage(small, chapter))
    assert.match(page, /Previous: <a href="\/docs">Start<\/a>/)
    assert.match(page, /Next: <a href="\/docs\/a">A<\/a>/)
    assert.equal(small.find('/docs/c'), undefined)
    assert.equal(small.find('/docs/../../etc/passwd'), undefined)
  })
})

describe('Markdown', () => {
  const markupOf = (text: string) => renderMarkdown(text, () => undefined).markup

  it('cannot contain HTML', () => {
    const hostile =
      '<script>alert(1)</script> a <b onclick="x">b</b> [c](javascript:alert(1)) ![d"<i>](https://e/f)'
    const markup = markupOf(`${hostile}\n\n\`<i>\`\n\n    <i>\n\n# <i>\n\n| <i> |\n| --- |\n| <i> |\n`)
    assert.doesNotMatch(markup, /<(script|b|i|img|a)\b/)
    assert.match(markup, /&lt;script&gt;/)
  })

  it('has line breaks in tables, and no comments', () => {
    assert.match(markupOf('| a |\n| --- |\n| b<br>c |'), /b<br>c/)
    assert.equal(markupOf('<!-- a -->\n'), '')
  })

  it('gives headings different ids', () => {
    assert.deepEqual([...renderMarkdown('# `a` B, c\n\n## A b c\n', () => '').ids], ['a-b-c', 'a-b-c-1'])
  })
})
