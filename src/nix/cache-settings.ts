/** What Nix's configuration says of binary caches. Times are seconds. */
export type NixCaches = {
  readonly substituters: readonly string[]
  readonly trustedKeys: readonly string[]
  readonly requireSignatures: boolean
  readonly netrcFile: string | undefined
  /** Connections to one cache. */
  readonly connections: number
  /** How long a narinfo counts, and that there is none. */
  readonly found: number
  readonly missing: number
}

/**
 * Reads it from what `nix show-config --json` tells; see nix.conf(5).
 * @param setting gives the value of a setting
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
    // 0 stands for no bound.
    connections: Math.min(200, number('http-connections', 25) || 200),
    found: number('narinfo-cache-positive-ttl', 30 * 24 * 3600),
    missing: number('narinfo-cache-negative-ttl', 3600),
  }
}
