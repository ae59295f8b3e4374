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
  /** The link in the bar that leads to it. */
  readonly place?: 'compose' | 'docs' | 'admin'
}

/** The viewer of a page: a user's name, or undefined if not logged in. */
export type Viewer = { readonly name: string | undefined; readonly isAdmin: boolean }

export const refreshSeconds = 3

/** A whole document. */
export function documentOf(frame: Frame, page: Page, viewer?: Viewer): string {
  const { assets, version } = frame
  const { title, body, refresh = false, scripts = [], wide = false } = page
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
        ${bar(frame, page, viewer)} ${body}
        <footer>
          Nixery ${version}, in TypeScript · <a href="/docs">Documentation</a> ·
          <a href="/docs/changelog">Changes</a> ·
          <a href="https://www.apache.org/licenses/LICENSE-2.0">Apache License 2.0</a>
        </footer>
      </body>
    </html> `
  // Hono's template is a promise only if it contains one.
  if (markup instanceof Promise) throw new TypeError('a page contains a promise')
  return markup.valueOf()
}

/** The top of every page: the way home, the other places, and the viewer. */
const bar = ({ assets, composes }: Frame, { place }: Page, viewer: Viewer | undefined): Html => {
  const to = (path: string, text: string, isHere: boolean) =>
    html`<a href="${path}" ${isHere && html`aria-current="page"`}>${text}</a>`
  return html`<header class="bar">
    <a class="home" href="/"><img src="${assets.logo.path}" width="26" height="26" alt="" /> Nixery</a>
    <nav aria-label="Nixery">
      ${composes && to('/compose', 'Compose', place === 'compose')}
      ${to('/docs', 'Documentation', place === 'docs')}
    </nav>
    ${viewer && viewerText(viewer, place === 'admin')}
  </header>`
}

const viewerText = ({ name, isAdmin }: Viewer, isHere: boolean): Html =>
  name === undefined
    ? html`<nav class="account" aria-label="Account"><a href="/login">Log in</a></nav>`
    : html`<nav class="account" aria-label="Account">
        <span class="quiet">${name}</span>
        ${isAdmin && html`<a href="/admin" ${isHere && html`aria-current="page"`}>Administration</a>`}
        <a href="/logout">Log out</a>
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
