import { html } from 'hono/html'
import type { HttpRequest } from '../http/request.ts'
import type { RouteTable, TableRoute } from '../http/route-table.ts'
import { immutable, type Reply } from '../http/reply.ts'
import type { ImageRequest, Vocabulary } from '../image/name.ts'
import { defaultPlatform, type Platform } from '../image/platform.ts'
import { createAdmin, type AdminDeps } from './admin/admin.ts'
import { readAssets, type Asset } from './assets.ts'
import { anyImage } from './api.ts'
import { openBook, type Chapter } from './book.ts'
import { createBuildEvents } from './build-events.ts'
import { buildPage } from './build-page.ts'
import { compose, type Finder } from './compose.ts'
import { composePage } from './compose-page.ts'
import type { SourceDescription } from './describe.ts'
import { docsPage } from './docs.ts'
import type { BuildRecord, History } from './history.ts'
import { withoutSuggestions } from '../text/words.ts'
import { homePage } from './home.ts'
import { registryHost } from './host.ts'
import type { ImageDeps } from './image.ts'
import { createImageRoute, parsedName } from './image-route.ts'
import { documentOf, headersFor, securityHeaders, type Html, type Page, type Viewer } from './layout.ts'
import { createLogin, type LoginDeps } from './login.ts'

export type WebDeps = {
  readonly history: Pick<History, 'recent' | 'find' | 'changed'>
  /** Ends streams of events when the server stops. */
  readonly stopping?: AbortSignal | undefined
  /** The address of a client, which gets a share of the streams of events. */
  readonly addressOf?: ((request: HttpRequest) => string | undefined) | undefined
  /** The package sources. Returns at once. */
  readonly describe: () => readonly SourceDescription[]
  readonly version: string
  /**
   * Whether `/` lists recent builds and their errors, with links. If false, builds are reachable only by their links.
   */
  readonly listBuilds: boolean
  /** Whether the page of a build shows the image's name. */
  readonly showNames: boolean
  /** The platforms of names without one. */
  readonly platforms?: readonly Platform[]
  readonly now?: () => number
  /** Whether a client may see that an image was built; by default, everyone may. */
  readonly maySee?: ((request: HttpRequest, image: ImageRequest | undefined) => boolean) | undefined
  /** For the pages of images; undefined if there are none. */
  readonly images?: Pick<ImageDeps, 'catalog' | 'read'> | undefined
  /** Logins; undefined if clients need not log in. */
  readonly login?: LoginDeps | undefined
  /** The admin page; undefined without authentication. */
  readonly admin?: AdminDeps | undefined
  /** For the composer; undefined if there is none. */
  readonly finder?: Finder | undefined
  /** The words that the operator adds to the name grammar. */
  readonly vocabulary?: Vocabulary | undefined
}

/**
 * The pages: `/`, `/builds/<id>`, the documentation under `/docs`, and the files that they use under `/static/`. All other
 * paths get a page with status 404, so this table must come last.
 */
export function createWeb(deps: WebDeps): RouteTable {
  const { history, describe, version, platforms = [defaultPlatform], now = Date.now } = deps
  const { listBuilds, showNames, vocabulary, finder, maySee = () => true } = deps
  // The name of a build is valid, but a page must not fail if it is not.
  const imageOf = (record: BuildRecord | undefined): ImageRequest | undefined =>
    record && parsedName(record.image, vocabulary)
  const frame = {
    assets: readAssets(),
    version,
    composes: finder !== undefined,
    searches: finder?.search !== undefined,
  }
  const book = openBook()
  const show = (
    page: Page,
    status: number,
    headers: Readonly<Record<string, string>> = {},
    request?: HttpRequest,
  ): Reply =>
    pageReply(Buffer.from(documentOf(frame, page, viewerOf(request))), status, {
      ...headersFor(page),
      'Content-Type': 'text/html; charset=utf-8',
      'Cache-Control': 'no-store', // it depends on the Host header and the time
      ...headers,
    })
  const viewerOf = (request: HttpRequest | undefined): Viewer | undefined => {
    if (!deps.login || !request) return undefined
    const { how, name } = request.identity
    return {
      name: how === 'anonymous' ? undefined : name,
      isAdmin: deps.admin?.may(request, 'admin') === true,
    }
  }
  const login = deps.login && createLogin({ ...deps.login, addressOf: deps.addressOf }, show)
  const admin = deps.admin && createAdmin(deps.admin, frame, show)
  const message = (
    status: number,
    title: string,
    text: string | Html,
    headers?: Readonly<Record<string, string>>,
  ) => {
    const body = html`<main class="message-page">
      <h1>${title}</h1>
      <p class="lead">${text}</p>
    </main>`
    return show({ title: `${title} · Nixery`, body }, status, headers)
  }
  /** If access is restricted, failures suggest no names. */
  const shown = (record: BuildRecord): BuildRecord => {
    const { failure } = record
    if (!deps.maySee || failure?.code !== 'PACKAGE_UNKNOWN') return record
    return { ...record, failure: { ...failure, message: withoutSuggestions(failure.message) } }
  }
  const readOnly =
    (page: (request: HttpRequest) => Reply | Promise<Reply>) =>
    (request: HttpRequest): Reply | Promise<Reply> =>
      request.method === 'GET' || request.method === 'HEAD'
        ? page(request)
        : message(405, 'Method not allowed', 'This page is read-only.', { Allow: 'GET, HEAD' })

  const somewhereElse = html`There is nothing at this address. Go to <a href="/">the start</a>${
      finder && html`, <a href="/compose">compose an image</a>`
    }
    or read <a href="/docs">the documentation</a>.`
  // The same for everyone, and not limited by quotas: it is rendered once, like the documentation.
  const nothingHere = message(404, 'Page not found', somewhereElse)
  const notFound: TableRoute = { action: 'pull', subject: 'public', reply: () => nothingHere }
  const noAdmin: TableRoute = {
    ...notFound,
    reply: () => message(404, 'Not found', 'The admin page needs authentication (NIXERY_AUTH).'),
  }
  const home: TableRoute = {
    action: 'list',
    subject: 'server',
    reply: readOnly((request) => {
      const content = {
        host: registryHost(request.header('host')),
        described: describe(),
        defaults: platforms,
        builds: listBuilds
          ? history
              .recent()
              .filter(isBuild)
              .filter((one) => maySee(request, imageOf(one)))
              .map(shown)
          : undefined,
        now: now(),
      }
      return show(homePage(frame, content), 200, {}, request)
    }),
  }
  const build = (id: string): TableRoute => ({
    action: 'logs',
    subject: { build: id, imageRequest: imageOf(history.find(id)) },
    reply: readOnly((request) => {
      const record = history.find(id)
      if (record) return show(buildPage(frame, shown(record), { showNames }), 200, {}, request)
      const text = 'The server remembers only recent builds, and forgets them when it restarts.'
      return message(404, 'Build not found', text)
    }),
  })
  const composer: TableRoute | undefined = finder && {
    action: 'pull',
    subject: anyImage,
    reply: readOnly(async (request) => {
      const host = registryHost(request.header('host'))
      return show(composePage(frame, await compose(finder, request), host), 200, {}, request)
    }),
  }
  const rendered = new Map<Chapter, Reply>()
  const docs = (path: string): TableRoute | undefined => {
    const chapter = book.find(path.replace(/\/$/, ''))
    if (!chapter) return undefined
    const page = rendered.get(chapter) ?? show(docsPage(book, chapter), 200)
    rendered.set(chapter, page)
    return { ...notFound, reply: readOnly(() => page) }
  }
  const { images } = deps
  const imagePart = { history, platforms, vocabulary, now, showNames, listBuilds }
  const image =
    finder && images && createImageRoute({ ...imagePart, images, finder }, { frame, show, message, readOnly })
  const eventsOf = createBuildEvents({
    history,
    stopping: deps.stopping ?? new AbortController().signal,
    addressOf: deps.addressOf,
  })
  const events = (id: string): TableRoute => ({
    action: 'logs',
    subject: { build: id, imageRequest: imageOf(history.find(id)) },
    reply: readOnly((request) => eventsOf(request, id)),
  })
  const file = ({ bytes, contentType }: Asset): TableRoute => ({
    action: 'pull',
    subject: 'public',
    reply: readOnly(() => pageReply(bytes, 200, { 'Content-Type': contentType, 'Cache-Control': immutable })),
  })

  return (path) => {
    if (path === '/') return home
    if (path === '/compose') return composer ?? notFound
    const entry = login?.(path) ?? admin?.(path)
    if (entry) return entry
    if (path === '/admin') return noAdmin
    if (path.startsWith(imagesPath)) return image?.(path.slice(imagesPath.length)) ?? notFound
    const [, id, isOfEvents] = buildPath.exec(path) ?? []
    if (id !== undefined) return isOfEvents === undefined ? build(id) : events(id)
    const asset = frame.assets.find(path)
    return asset ? file(asset) : (docs(path) ?? notFound)
  }
}

/** Whether something was actually built: unknown and denied names are mistakes of the client. */
const isBuild = ({ failure }: BuildRecord): boolean =>
  !['PACKAGE_UNKNOWN', 'PACKAGE_DENIED', 'RECIPE_UNKNOWN'].includes(failure?.code ?? '')

const imagesPath = '/images/'
const buildPath = /^\/builds\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(\/events)?$/

const pageReply = (body: Buffer, status: number, headers: Readonly<Record<string, string>>): Reply => ({
  status,
  headers: { ...securityHeaders, 'Content-Length': String(body.length), ...headers },
  body,
})
