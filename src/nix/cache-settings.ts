/** Nix's settings for binary caches. Times are in seconds. */
export type NixCaches = {
  readonly substituters: readonly string[]
  readonly trustedKeys: readonly string[]
  readonly requireSignatures: boolean
  readonly netrcFile: string | undefined
  /** The maximum number of connections to one cache. */
  readonly connections: number
  /** How long narinfos and their absence are cached. */
  readonly found: number
  readonly missing: number
}

/**
 * Reads them from the output of `nix show-config --json`; see nix.conf(5).
 * @param setting returns the value of a setting
 */
export function cachesOf(setting: (name: string) => unknown): NixCaches {
  const texts = (name: string): string[] => {
    const value = setting(name)
    return Array.isArray(value) ? value.filter((one) => typeof one === 'string' && one !== '') : []
  }
  const number = (name: string, usual: number): number => {
    const value = setting(name)
    return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : usual
  }
  const netrc = setting('netrc-file')
  return {
    substituters: setting('substitute') === false ? [] : texts('substituters'),
    trustedKeys: texts('trusted-public-keys'),
    requireSignatures: setting('require-sigs') !== false,
    netrcFile: typeof netrc === 'string' && netrc !== '' ? netrc : undefined,
    // 0 means no limit.
    connections: Math.min(200, number('http-connections', 25) || 200),
    found: number('narinfo-cache-positive-ttl', 30 * 24 * 3600),
    missing: number('narinfo-cache-negative-ttl', 3600),
  }
}
