import { Marked, type Renderer, type Tokens } from 'marked'

export type Rendered = {
  /** The first heading. */
  readonly title: string
  readonly markup: string
  /** The ids of all headings. */
  readonly ids: ReadonlySet<string>
}

/**
 * Renders Markdown for a page with a strict content policy: HTML in the text is shown as text, except for line breaks,
 * images are replaced by their descriptions, and headings have the ids that GitHub gives them.
 * @param linkOf returns the address of a link; if undefined, only its text remains
 */
export function renderMarkdown(text: string, linkOf: (href: string) => string | undefined): Rendered {
  const ids = new Set<string>()
  let title = ''
  // Regions need names, and each another one.
  let heading = ''
  let tables = 0
  const marked = new Marked({
    gfm: true,
    renderer: {
      heading({ tokens, depth, text: source }: Tokens.Heading) {
        const content = this.parser.parseInline(tokens)
        heading = plain(source)
        if (title === '') title = heading
        const id = unused(slugOf(heading), ids)
        ids.add(id)
        return `<h${depth} id="${id}">${content}</h${depth}>\n`
      },
      html: ({ text: source }: Tokens.HTML | Tokens.Tag) => {
        if (source.trimStart().startsWith('<!--')) return ''
        return /^<br ?\/?>$/.test(source.trim()) ? '<br>' : escape(source)
      },
      link({ href, tokens }: Tokens.Link) {
        const content = this.parser.parseInline(tokens)
        const address = linkOf(href)
        return address === undefined ? content : `<a href="${escape(address)}">${content}</a>`
      },
      image: ({ text: description }: Tokens.Image) => escape(description),
      // A wide block scrolls by itself, so it must be focusable by keyboard.
      code: ({ text: source }: Tokens.Code) => `<pre tabindex="0"><code>${escape(source)}</code></pre>\n`,
      table(token: Tokens.Table) {
        const row = (cells: readonly Tokens.TableCell[]) =>
          `<tr>${cells.map((cell) => cellOf(this, cell)).join('')}</tr>\n`
        const isEmpty = token.header.every((cell) => cell.text === '')
        const head = isEmpty ? '' : `<thead>${row(token.header)}</thead>`
        tables += 1
        const label = escape(`Table ${tables}: ${heading}`)
        return `<div class="sideways" role="region" aria-label="${label}" tabindex="0"><table>${head}<tbody>${token.rows.map(row).join('')}</tbody></table></div>\n`
      },
    },
  })
  const markup = marked.parse(text, { async: false })
  return { title, markup, ids }
}

function cellOf({ parser }: Renderer, { tokens, header, align }: Tokens.TableCell): string {
  const tag = header ? 'th' : 'td'
  return `<${tag}${align === 'right' ? ' class="right"' : ''}>${parser.parseInline(tokens)}</${tag}>`
}

/** A heading without its markup. */
const plain = (source: string): string => source.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '')

const slugOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')

function unused(slug: string, ids: ReadonlySet<string>): string {
  if (!ids.has(slug)) return slug
  for (let count = 1; ; count++) if (!ids.has(`${slug}-${count}`)) return `${slug}-${count}`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
