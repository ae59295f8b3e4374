import { html } from 'hono/html'
import type { Reply } from '../http/reply.ts'
import type { HttpRequest } from '../http/request.ts'
import type { RouteTable, TableRoute } from '../http/route-table.ts'
import { parseImageName, type ImageRequest, type Vocabulary } from '../image/name.ts'
import { addressOf, compositionOf } from './composition.ts'
import type { Finder } from './compose.ts'
import type { Show } from './forms.ts'
import { registryHost } from './host.ts'
import { imageFacts, type ImageDeps } from './image.ts'
import { imagePage } from './image-page.ts'
import type { Frame, Html } from './layout.ts'
import { imageText } from './times.ts'

export type ImageRouteDeps = Pick<ImageDeps, 'history' | 'platforms'> & {
  readonly images: Pick<ImageDeps, 'catalog' | 'read'>
  readonly finder: Pick<Finder, 'estimates'>
  readonly vocabulary: Vocabulary | undefined
  readonly now: () => number
  /** Whether it shows when and how often images were pulled. */
  readonly showNames: boolean
  /** Whether it links to the page of the build. */
  readonly listBuilds: boolean
}

/** How pages are made. */
export type Making = {
  readonly frame: Frame
  readonly show: Show
  readonly message: (status: number, title: string, text: string | Html) => Reply
  readonly readOnly: (page: (request: HttpRequest) => Reply | Promise<Reply>) => TableRoute['reply']
}

/** The pages of images, by the names of these; undefined for what is not a name. */
export const createImageRoute = (deps: ImageRouteDeps, make: Making): RouteTable => {
  const { images, finder, vocabulary, history, platforms, now, showNames, listBuilds } = deps
  const { frame, show, message, readOnly } = make
  return (name) => {
    const request = parsedName(name, vocabulary)
    return (
      request && {
        action: 'pull',
        subject: { imageRequest: request },
        reply: readOnly(async (pageRequest) => {
          const parameters = new URLSearchParams(pageRequest.query)
          const wanted = {
            tag: parameters.get('tag') ?? undefined,
            architecture: parameters.get('a') ?? undefined,
          }
          const known = { ...images, estimates: finder.estimates, history, platforms }
          const facts = await imageFacts(known, request, wanted)
          const address = addressOf(compositionOf(request))
          if (!facts) {
            const text = html`Nobody has pulled <span class="image">${imageText(name)}</span> so far. It is
              built when you pull it: <a href="${address}">see how</a>.`
            return message(404, 'Not known yet', text)
          }
          const host = registryHost(pageRequest.header('host'))
          const options = {
            host,
            now: now(),
            showPulls: showNames,
            showBuild: listBuilds,
            composer: address,
          }
          return show(imagePage(frame, facts, options), 200, {}, pageRequest)
        }),
      }
    )
  }
}

/** The image of a name; undefined for what is not a name. */
export function parsedName(name: string, vocabulary: Vocabulary | undefined): ImageRequest | undefined {
  try {
    return parseImageName(name, undefined, vocabulary)
  } catch {
    return undefined
  }
}
