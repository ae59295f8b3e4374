import { fileURLToPath } from 'node:url'

/** The location of the shared cache. */
export type SharedCacheAddress = {
  /** Ends in `/`, without a query. */
  readonly href: string
} & (
  | { readonly kind: 'file'; readonly folder: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly endpoint?: string; readonly region?: string }
  | { readonly kind: 'gs'; readonly bucket: string; readonly endpoint?: string }
)

const parameters = { s3: ['endpoint', 'region'], gs: ['endpoint'], file: [] } as const

/** Parses the URL of a bucket or a folder; undefined for anything else, and for unknown parameters. */
export function parseSharedCache(text: string): SharedCacheAddress | undefined {
  const url = URL.parse(text)
  const kind = url?.protocol.slice(0, -1)
  if (!url || (kind !== 's3' && kind !== 'gs' && kind !== 'file')) return undefined
  const known: readonly string[] = parameters[kind]
  if (url.hash !== '' || url.username !== '' || url.password !== '' || url.port !== '') return undefined
  for (const [name, value] of url.searchParams) if (!known.includes(name) || value === '') return undefined
  if (kind === 'file') {
    if (url.host !== '' || url.pathname.length < 2) return undefined
    const href = url.href.endsWith('/') ? url.href : `${url.href}/`
    return { kind, href, folder: fileURLToPath(href) }
  }
  if (url.hostname === '' || !['', '/'].includes(url.pathname)) return undefined
  const [endpoint, region] = [url.searchParams.get('endpoint'), url.searchParams.get('region')]
  if (endpoint !== null && !/^https?:\/\/[^/?#@]+\/?$/.test(endpoint)) return undefined
  return {
    kind,
    href: `${kind}://${url.hostname}/`,
    bucket: url.hostname,
    ...(endpoint !== null && { endpoint }),
    ...(kind === 's3' && region !== null && { region }),
  }
}
