import { hasCode } from '../errors.ts'
import { formatImageName, isTag, type ImageRequest } from '../image/name.ts'
import { nextLink, pageOf, parsePage, type Page } from './paging.ts'
import { textReply, type Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'

/** Names and tags of pulled images, sorted by code units. */
export type PulledNames = {
  /** @param repository as written by `formatImageName` */
  tags(repository: string, page: Page): Promise<readonly string[]>
  repositories(page: Page): Promise<readonly string[]>
}

export type TagDeps = {
  /** The tags of the package source, or undefined if every tag that can be resolved is valid. */
  readonly source: { tags(request: ImageRequest): Promise<readonly string[] | undefined> }
  readonly pulled: PulledNames
}

/**
 * Lists the tags of a name (distribution spec, "Listing Tags"): those of its package source, and those with which it
 * was pulled.
 * @param name as requested; it has been parsed
 * @throws QUERY_INVALID, and what the source throws
 */
export async function tagsReply(
  { source, pulled }: TagDeps,
  request: HttpRequest,
  name: string,
  imageRequest: ImageRequest,
): Promise<Reply> {
  const page = parsePage(request.query)
  const repository = formatImageName(imageRequest)
  const [sources, used] = await Promise.all([
    source.tags(imageRequest).catch(async (error: unknown) => {
      // While there is no worker, or the source does not answer, the tags that were pulled can still be listed and pulled.
      if (!hasCode(error, 'NIX_UNAVAILABLE', 'SOURCE_UNREACHABLE')) throw error
      if ((await pulled.tags(repository, { limit: 1 })).length === 0) throw error
      return []
    }),
    pulled.tags(repository, { ...page, limit: page.limit + 1 }),
  ])
  // A channel or branch whose name is not a valid tag cannot be pulled.
  const list = pageOf([(sources ?? ['latest']).filter(isTag), used], page)
  const headers = { 'Cache-Control': 'no-cache', ...nextLink(`/v2/${name}/tags/list`, list, page) }
  return textReply(200, 'application/json', JSON.stringify({ name, tags: list.items }), headers)
}

// The maximum number of names to check for one page, and for one query. If a client may see few of them, a page may end
// early.
const [mostLookedAt, atOnce] = [100_000, 1_000]

/**
 * Lists the pulled names (the registry API's catalog, which the spec leaves to registries).
 * @param isVisible whether a client may see a name; by default, it sees all
 */
export async function catalogReply(
  { pulled }: Pick<TagDeps, 'pulled'>,
  request: HttpRequest,
  isVisible?: (name: string) => boolean,
): Promise<Reply> {
  const page = parsePage(request.query)
  const names = isVisible
    ? await visibleNames(pulled, page, isVisible)
    : await pulled.repositories({ ...page, limit: page.limit + 1 })
  const list = pageOf([names], page)
  const headers = { 'Cache-Control': 'no-cache', ...nextLink('/v2/_catalog', list, page) }
  return textReply(200, 'application/json', JSON.stringify({ repositories: list.items }), headers)
}

async function visibleNames(
  pulled: PulledNames,
  { after: begin, limit }: Page,
  isVisible: (name: string) => boolean,
): Promise<string[]> {
  const found: string[] = []
  let after = begin
  for (let seen = 0; seen < mostLookedAt && found.length <= limit; seen += atOnce) {
    const names = await pulled.repositories({ limit: atOnce, ...(after !== undefined && { after }) })
    after = names.at(-1)
    if (after === undefined) break
    found.push(...names.filter(isVisible))
  }
  return found
}
