import { html, raw } from 'hono/html'
import type { Book, Chapter } from './book.ts'
import { homeLink, type Frame, type Html, type Page } from './layout.ts'

/** The page of a chapter, with links to the start page and the previous and next chapters. */
export function docsPage(frame: Frame, book: Book, chapter: Chapter): Page {
  const at = book.paths.indexOf(chapter.path)
  const neighbour = (path: string | undefined, text: string): Html | '' => {
    const found = path === undefined ? undefined : book.find(path)
    return found ? html`<li>${text}: <a href="${found.path}">${found.title}</a></li>` : ''
  }
  const body = html`${homeLink(frame)}
    <main class="prose">
      ${chapter.path === '/docs' ? '' : html`<p class="quiet small"><a href="/docs">Documentation</a></p>`}
      ${raw(chapter.markup)}
    </main>
    <nav aria-label="Chapters">
      <ul class="plain">
        ${neighbour(book.paths[at - 1], 'Previous')} ${neighbour(book.paths[at + 1], 'Next')}
      </ul>
    </nav>`
  return { title: `${chapter.title} · Nixery`, body }
}
