import { html } from 'hono/html'
import type { Assets } from './assets.ts'

/** Markup in which every inserted text is escaped. */
export type Html = ReturnType<typeof html>

export type Frame = {
  readonly assets: Assets
  readonly version: string
}

export type Page = {
  readonly title: string
  readonly body: Html
  /** Whether it reloads every few seconds. */
  readonly refresh?: boolean
  /** Whether it has a form, which goes to this server. */
  readonly hasForm?: boolean
}

/** Who looks at a page: a user by name, or nobody known. */
export type Viewer = { readonly name: string | undefined }

export const refreshSeconds = 3

/** A whole document. It needs no JavaScript, and its policy would not let any run. */
export function documentOf(
  { assets, version }: Frame,
  { title, body, refresh = false }: Page,
  viewer?: Viewer,
): string {
  const markup = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refresh && html`<meta http-equiv="refresh" content="${refreshSeconds}" />`}
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <link rel="stylesheet" href="${assets.style.path}" />
        <link rel="icon" type="image/svg+xml" href="${assets.logo.path}" />
      </head>
      <body>
        ${viewer && viewerText(viewer)} ${body}
        <footer>Nixery ${version}, in TypeScript</footer>
      </body>
    </html> `
  // Hono's template is a promise if one was put in; there is none here.
  if (markup instanceof Promise) throw new TypeError('a page waits for something')
  return markup.valueOf()
}

const viewerText = ({ name }: Viewer): Html =>
  name === undefined
    ? html`<p class="quiet small"><a href="/login">Log in</a></p>`
    : html`<p class="quiet small">${name} · <a href="/logout">Log out</a></p>`

/** The link to `/` on top of the other pages. */
export const homeLink = ({ assets }: Frame): Html =>
  html`<a class="home" href="/"><img src="${assets.logo.path}" width="24" height="24" alt="" /> Nixery</a>`

/** What a browser may do with a page: show it, with the style and the picture from here. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
}

/** The same for a page with a form, which goes to this server alone. */
export const formHeaders: Readonly<Record<string, string>> = {
  ...securityHeaders,
  'Content-Security-Policy': (securityHeaders['Content-Security-Policy'] ?? '').replace(
    "form-action 'none'",
    "form-action 'self'",
  ),
}
