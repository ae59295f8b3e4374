import { NixeryError } from '../errors.ts'
import type { RouteTable, TableRoute } from '../http/route-table.ts'
import type { HttpRequest } from '../http/request.ts'
import type { Reply } from '../http/reply.ts'
import { parseImageName } from '../image/name.ts'
import { longestQuery, mostResults } from '../search/entry.ts'
import type { SearchResult } from '../search/query.ts'
import { permitsFor, type Finder } from './compose.ts'

/** The name of an image without packages: clients that may pull any image may use these paths. */
export const anyImage = { imageRequest: parseImageName('amd64') } as const

// The maximum number of results in a response.
const [usual, most] = [20, 100]

/**
 * `/api/v1/search`: the packages of a set for some words, as JSON (docs/pages.md). Not found if the server has no search.
 */
export function createApi(finder: Finder): RouteTable {
  const route: TableRoute = {
    action: 'pull',
    subject: anyImage,
    async reply(request) {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        throw new NixeryError('UNSUPPORTED', 'this path is read-only')
      }
      return jsonReply(await searchAnswer(finder, request))
    },
  }
  const none: TableRoute = {
    action: 'pull',
    subject: 'public',
    reply() {
      throw new NixeryError('ROUTE_UNKNOWN', 'this server has no search', {
        hint: 'NIXERY_SEARCH is off',
      })
    },
  }
  return (path) => (path === '/api/v1/search' ? (finder.search ? route : none) : undefined)
}

/** @throws QUERY_INVALID */
async function searchAnswer(finder: Finder, request: HttpRequest): Promise<unknown> {
  const parameters = new URLSearchParams(request.query)
  const query = parameters.get('q') ?? ''
  if (query.trim() === '' || query.length > longestQuery) {
    throw invalid(`"q" must have 1 to ${longestQuery} characters`)
  }
  const limit = wholeNumber(parameters, 'limit', usual, 1, most)
  const offset = wholeNumber(parameters, 'offset', 0, 0, mostResults)
  const set = parameters.get('set') ?? undefined
  const permits = permitsFor(finder, request, set === finder.sets[0] ? undefined : set)
  const found = await finder.search?.find({
    set,
    text: query,
    offset,
    limit,
    permits,
    mayMake: finder.mayEvaluate?.(request) ?? true,
  })
  if (!found) throw invalid('"set" is not the name of a package set')
  return answerOf(query, limit, offset, found)
}

function answerOf(query: string, limit: number, offset: number, found: SearchResult): unknown {
  const { set, state, revision, results, more, progress } = found
  const parameters = new URLSearchParams({
    q: query,
    ...(set !== undefined && { set }),
    limit: String(limit),
    offset: String(offset + limit),
  })
  return {
    query,
    set: set ?? null,
    state,
    revision: revision ?? null,
    progress: progress ?? null,
    packages: results.map(({ name, attribute, version, description, programs, license, homepage }) => ({
      name,
      attribute,
      version,
      description: description ?? null,
      programs,
      license: license ?? null,
      homepage: homepage ?? null,
    })),
    next: more && offset + limit <= mostResults ? `/api/v1/search?${parameters.toString()}` : null,
  }
}

function wholeNumber(
  parameters: URLSearchParams,
  name: string,
  usually: number,
  least: number,
  greatest: number,
): number {
  const text = parameters.get(name)
  if (text === null) return usually
  const value = /^\d{1,6}$/.test(text) ? Number(text) : NaN
  if (value >= least && value <= greatest) return value
  throw invalid(`"${name}" must be a whole number from ${least} to ${greatest}`)
}

const invalid = (message: string) => new NixeryError('QUERY_INVALID', message)

function jsonReply(value: unknown): Reply {
  const body = Buffer.from(`${JSON.stringify(value)}\n`)
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': String(body.length),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    },
    body,
  }
}
