import { Hono } from 'hono'
import { html } from 'hono/html'
import { defaultPlatform, type Platform } from '../image/platform.ts'
import { readAssets } from './assets.ts'
import { buildPage } from './build-page.ts'
import type { Described } from './describe.ts'
import type { History } from './history.ts'
import { homePage } from './home.ts'
import { registryHost } from './host.ts'
import { documentOf, homeLink, securityHeaders, type Page } from './layout.ts'

export type WebDeps = {
  readonly history: Pick<History, 'recent' | 'find'>
  /** Where packages come from; must not wait for anything. */
  readonly describe: () => Described
  readonly version: string
  /** Whether `/` lists recent builds and their errors, with links. Without it a build is found by its link alone. */
  readonly listBuilds: boolean
  /** Whether the page of a build says which image it makes. */
  readonly showNames: boolean
  /** What a name that says no platform means. */
  readonly platforms?: readonly Platform[]
  readonly now?: () => number
}

/**
 * The pages for people: `/`, `/builds/<id>`, and what they link to under `/static/`. To be mounted behind every
 * other route, as it answers all that is left with its own 404.
 */
export function createWeb(deps: WebDeps): Hono {
  const { history, describe, version, platforms = [defaultPlatform], now = Date.now } = deps
  const { listBuilds, showNames } = deps
  const frame = { assets: readAssets(), version }
  const show = (page: Page, status: number, headers: Readonly<Record<string, string>> = {}): Response => {
    const text = documentOf(frame, page)
    return answer(Buffer.from(text), status, {
      'Content-Type': 'text/html; charset=utf-8',
      'Cache-Control': 'no-store', // it has the request's host in it, and is another in a second
      ...headers,
    })
  }
  const say = (status: number, title: string, text: string, headers?: Readonly<Record<string, string>>) => {
    const body = html`${homeLink(frame)}
      <main>
        <h1>${title}</h1>
        <p>${text}</p>
      </main>`
    return show({ title: `${title} · Nixery`, body }, status, headers)
  }
  const notFound = () => say(404, 'Not found', 'This server has no such page.')
  const reading = (method: string, page: () => Response): Response =>
    method === 'GET' || method === 'HEAD'
      ? page()
      : say(405, 'Method not allowed', 'This page can only be read.', { Allow: 'GET, HEAD' })

  const web = new Hono()
  web.all('/', (c) =>
    reading(c.req.method, () => {
      const host = registryHost(c.req.header('Host'))
      const home = {
        host,
        described: describe(),
        defaults: platforms,
        builds: listBuilds ? history.recent() : undefined,
        now: now(),
      }
      return show(homePage(frame, home), 200)
    }),
  )
  web.all('/builds/:id', (c) => {
    const id = c.req.param('id')
    if (!uuid.test(id)) return notFound()
    return reading(c.req.method, () => {
      const build = history.find(id)
      if (build) return show(buildPage(frame, build, { showNames }), 200)
      return say(
        404,
        'Build not found',
        'The server keeps recent builds only, and forgets them when it restarts.',
      )
    })
  })
  web.all('/static/:file', (c) => {
    const asset = frame.assets.find(`/static/${c.req.param('file')}`)
    if (!asset) return notFound()
    return reading(c.req.method, () =>
      answer(asset.bytes, 200, { 'Content-Type': asset.contentType, 'Cache-Control': immutable }),
    )
  })
  web.all('*', notFound)
  web.onError((error) => {
    throw error // a bug: for whoever mounts this to log and answer
  })
  return web
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const immutable = 'public, max-age=31536000, immutable'

/** Hono leaves out the body of what answers a HEAD. */
const answer = (
  bytes: Buffer<ArrayBuffer>,
  status: number,
  headers: Readonly<Record<string, string>>,
): Response =>
  new Response(bytes, {
    status,
    headers: { ...securityHeaders, 'Content-Length': String(bytes.length), ...headers },
  })
