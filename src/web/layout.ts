import { html } from 'hono/html'
import type { Asset, Assets } from './assets.ts'

/** Markup in which every inserted text is escaped. */
export type Html = ReturnType<typeof html>

export type Frame = {
  readonly assets: Assets
  readonly version: string
  /** Whether there is a composer, at `/compose`. */
  readonly composes: boolean
  /** Whether packages can be searched. */
  readonly searches: boolean
}

export type Page = {
  readonly title: string
  readonly body: Html
  /** Whether it reloads every few seconds if scripts are disabled. */
  readonly refresh?: boolean
  /** Whether it contains a form, which is sent to this server. */
  readonly hasForm?: boolean
  /** JavaScript modules that improve the page; it works without them. */
  readonly scripts?: readonly Asset[]
  /** Whether it uses the width of large screens. */
  readonly wide?: boolean
}

/** The viewer of a page: a user's name, or undefined if not logged in. */
export type Viewer = { readonly name: string | undefined; readonly isAdmin: boolean }

export const refreshSeconds = 3

/** A whole document. */
export function documentOf(
  { assets, version }: Frame,
  { title, body, refresh = false, scripts = [], wide = false }: Page,
  viewer?: Viewer,
): string {
  const markup = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refresh && html`<noscript><meta http-equiv="refresh" content="${refreshSeconds}" /></noscript>`}
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <link rel="stylesheet" href="${assets.style.path}" />
        ${scripts.map(({ path }) => html`<script type="module" src="${path}"></script>`)}
        <link rel="icon" type="image/svg+xml" href="${assets.logo.path}" />
      </head>
      <body ${wide && html`class="wide"`}>
        ${viewer && viewerText(viewer)} ${body}
        <footer>Nixery ${version}, in TypeScript · <a href="/docs">Documentation</a></footer>
      </body>
    </html> `
  // Hono's template is a promise only if it contains one.
  if (markup instanceof Promise) throw new TypeError('a page contains a promise')
  return markup.valueOf()
}

const viewerText = ({ name, isAdmin }: Viewer): Html =>
  name === undefined
    ? html`<nav class="quiet small" aria-label="Account"><a href="/login">Log in</a></nav>`
    : html`<nav class="quiet small" aria-label="Account">
        ${name} · ${isAdmin && html`<a href="/admin">Administration</a> · `}<a href="/logout">Log out</a>
      </nav>`

/** The links at the top of the other pages. */
export const homeLink = ({ assets, composes }: Frame): Html =>
  html`<nav class="top" aria-label="Nixery">
    <a class="home" href="/"><img src="${assets.logo.path}" width="24" height="24" alt="" /> Nixery</a>
    ${composes && html`<a href="/compose">Compose an image</a>`}
  </nav>`

const policy = {
  'default-src': "'none'",
  'style-src': "'self'",
  'img-src': "'self' data:",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
}

const withPolicy = (directives: Readonly<Record<string, string>>): Readonly<Record<string, string>> => ({
  'Content-Security-Policy': Object.entries(directives)
    .map(([name, value]) => `${name} ${value}`)
    .join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
})

/** The content security policy of most pages: only this server's style sheet and images. */
export const securityHeaders = withPolicy(policy)

/**
 * The content security policy of this page: it can also send its form to this server, and run its scripts, which can
 * send requests to this server.
 */
export const headersFor = ({ hasForm = false, scripts = [] }: Page): Readonly<Record<string, string>> =>
  withPolicy({
    ...policy,
    ...(hasForm && { 'form-action': "'self'" }),
    ...(scripts.length > 0 && { 'script-src': "'self'", 'connect-src': "'self'" }),
  })
