import { html, raw } from 'hono/html'
import type { Book, Chapter } from './book.ts'
import type { Html, Page } from './layout.ts'

/** The page of a chapter, with links to all others. */
export function docsPage(book: Book, chapter: Chapter): Page {
  const at = book.paths.indexOf(chapter.path)
  const neighbour = (path: string | undefined, text: string): Html | '' => {
    const found = path === undefined ? undefined : book.find(path)
    return found ? html`<li>${text}: <a href="${found.path}">${found.title}</a></li>` : ''
  }
  const part = ({ title, pages }: Book['parts'][number]): Html =>
    html`<h2>${title}</h2>
      <ul class="plain">
        ${pages.map(
          ({ path, title: name }) =>
            html`<li>
              <a href="${path}" ${path === chapter.path && html`aria-current="page"`}>${name}</a>
            </li>`,
        )}
      </ul>`
  const body = html`<div class="book">
    <main class="prose">
      ${raw(chapter.markup)}
      <ul class="plain neighbours">
        ${neighbour(book.paths[at - 1], 'Previous')} ${neighbour(book.paths[at + 1], 'Next')}
      </ul>
    </main>
    <nav class="chapters" aria-label="Chapters">
      <p><a href="/docs" ${chapter.path === '/docs' && html`aria-current="page"`}>Documentation</a></p>
      ${book.parts.map(part)}
    </nav>
  </div>`
  return { title: `${chapter.title} · Nixery`, wide: true, place: 'docs', body }
}
