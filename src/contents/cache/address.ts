/** A binary cache as configured by the operator. */
export type CacheAddress = {
  /** Ends in `/`; without a query, a user and a password. */
  readonly url: URL
  /** For messages, metrics and the log. */
  readonly name: string
  /** Lower values come first; if undefined, the cache's own priority is used. */
  readonly priority: number | undefined
  /** Whether paths need no signature. */
  readonly trusted: boolean
  /** `Basic …`, from a user and a password in the URL. */
  readonly authorization: string | undefined
}

/** The text of an Authorization header (RFC 7617). */
export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/**
 * Parses a cache URL in Nix's format: `https://cache.example.org?priority=30&trusted=1`, also http and file; S3 and GCS
 * also have HTTP URLs.
 * @returns undefined for unsupported URLs, such as `daemon` and `s3://…`
 */
export function parseCacheAddress(text: string): CacheAddress | undefined {
  const url = URL.parse(text)
  if (!url || !['http:', 'https:', 'file:'].includes(url.protocol)) return undefined
  const [priority, trusted] = [url.searchParams.get('priority'), url.searchParams.get('trusted')]
  const authorization = credentialsOf(url)
  url.search = ''
  url.hash = ''
  url.username = ''
  url.password = ''
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return {
    url,
    name: url.href.slice(0, -1),
    priority: priority !== null && /^-?\d{1,9}$/.test(priority) ? Number(priority) : undefined,
    // Nix's words for a setting that is on (libutil/config.cc).
    trusted: ['1', 'true', 'yes'].includes(trusted ?? ''),
    authorization,
  }
}

/** The login in a URL. Text that is not a valid percent-encoding is taken literally. */
function credentialsOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  const decoded = (text: string): string => {
    try {
      return decodeURIComponent(text)
    } catch {
      return text
    }
  }
  return basic(decoded(username), decoded(password))
}
