import type { Json } from '../image/canonical.ts'
import {
  comparableParts as partsOf,
  patternsOf,
  spellingsOf,
  type NamePattern,
} from '../image/name-patterns.ts'

/**
 * Decides by name which packages images may have (NIXERY_ALLOW and NIXERY_DENY). Names are compared as they are looked
 * up: ignoring case and a "_" before a leading digit. A name that is the encoded spelling of another one
 * (image/spelling.ts) is denied or allowed if either spelling is: which one it means is only known later.
 */
export type NameFilter = {
  /** The part of the cache keys of results that depend on the filter; undefined if it allows everything. */
  readonly inputs: Json | undefined
  /** The patterns of NIXERY_DENY without `*`: packages with these names are denied under all their names. */
  readonly deniedNames: readonly string[]
  /** Whether a pattern of NIXERY_DENY matches the name or a prefix of it: `a.b` is one of `a.b.out`. */
  denies(name: string): boolean
  /** Whether a pattern of NIXERY_ALLOW matches the attribute path of a package. Prefixes do not count. */
  allows(attribute: string): boolean
  /** Whether a pattern of NIXERY_ALLOW without `*` names this very output of a package: `git.doc`. */
  allowsOutput(attribute: string): boolean
  /** Whether a name may be suggested. */
  permits(name: string): boolean
  /**
   * How far Nix may follow a name, so that no part of a denied package is evaluated; undefined for a name without
   * limits. The entry at `i` is the maximum number of leading parts whose value may be evaluated, if the first `i` parts
   * lead to the package set itself (`pkgs.pkgs.git` is `git`).
   */
  limits(name: string): readonly number[] | undefined
}

/** @param allow like `deny`, patterns in which `*` matches any text including dots; if empty, all names are allowed */
export function nameFilter(allow: readonly string[], deny: readonly string[]): NameFilter {
  if (allow.length + deny.length === 0) return noFilter
  const allowed = allow.flatMap(patternsOf)
  const denied = deny.flatMap(patternsOf)
  const matches = (patterns: readonly NamePattern[], parts: readonly string[]) => {
    const text = parts.join('.')
    return patterns.some(({ expression }) => expression.test(text))
  }
  const allowsParts = (parts: readonly string[]) => allowed.length === 0 || matches(allowed, parts)
  const prefixes = (parts: readonly string[]) => parts.map((_, index) => parts.slice(0, index + 1))

  /** The number of leading parts before the first denied prefix. */
  const depthOfDeny = (parts: readonly string[]): number => {
    const at = prefixes(parts).findIndex((prefix) => matches(denied, prefix))
    return at === -1 ? parts.length : at
  }
  /** All parts if a prefix is allowed, since an output may follow. Otherwise the parts that lead to an allowed name. */
  const depthOfAllow = (parts: readonly string[]): number => {
    if (prefixes(parts).some(allowsParts)) return parts.length
    const leads = (prefix: readonly string[]) => allowed.some((pattern) => pattern.mayBegin(prefix.join('.')))
    const at = prefixes(parts.slice(0, -1)).findIndex((prefix) => !leads(prefix))
    return at === -1 ? parts.length - 1 : at
  }

  const denies = (name: string) => spellingsOf(name).some((parts) => depthOfDeny(parts) < parts.length)
  const exactlyAllowed = allow.filter((glob) => !glob.includes('*')).flatMap(patternsOf)
  return {
    inputs: { allow: allow.toSorted(), deny: deny.toSorted() },
    deniedNames: deny.filter((glob) => !glob.includes('*')),
    denies,
    allows: (attribute) => allowsParts(partsOf(attribute)),
    // `git.*` means the members of a set: if `git` is a package, it must not allow the package as one of its outputs.
    allowsOutput: (attribute) => matches(exactlyAllowed, partsOf(attribute)),
    permits: (name) => !denies(name) && spellingsOf(name).some((parts) => prefixes(parts).some(allowsParts)),
    limits(name) {
      const spellings = spellingsOf(name)
      const parts = partsOf(name)
      const untilDenied = (from: number) =>
        from + Math.min(...spellings.map((each) => depthOfDeny(each.slice(from))))
      const whole = Math.min(untilDenied(0), Math.max(...spellings.map(depthOfAllow)))
      const limits = parts.map((_, index) => Math.min(whole, untilDenied(index)))
      return limits.every((limit) => limit === parts.length) ? undefined : limits
    },
  }
}

const noFilter: NameFilter = {
  inputs: undefined,
  deniedNames: [],
  denies: () => false,
  allows: () => true,
  allowsOutput: () => false,
  permits: () => true,
  limits: () => undefined,
}

/** The limits of those names that have any, by name. */
export function limitsOf(
  names: readonly string[],
  filter: NameFilter,
): Readonly<Record<string, readonly number[]>> {
  const limits: Record<string, readonly number[]> = {}
  for (const name of names) {
    const found = filter.limits(name)
    if (found) limits[name] = found
  }
  return limits
}

// The messages of nixpkgs for packages that its policy refuses (pkgs/stdenv/generic/check-meta.nix).
const refusals: readonly [
  message: RegExp,
  refusal: string | ((platform: string, match: RegExpExecArray) => string),
][] = [
  // Since 26.05, see problems.nix beside it. The lines that follow tell how to allow the package.
  [/ because it has problems:\n(?:- .*\n)*?- broken: /, 'is marked as broken'],
  [
    / because it has problems:\n- (?<problem>.*)/,
    (_, { groups }) => `is refused by the package set: ${groups?.['problem'] ?? ''}`,
  ],
  [/has an unfree license/, 'has an unfree licence, which this registry does not serve'],
  [/is marked as broken/, 'is marked as broken'],
  [/is marked as insecure|known vulnerabilities/, 'is marked as insecure'],
  // The last two are messages of packages themselves, and of packages that have sources for some systems only.
  [
    /is not available on the requested hostPlatform|is not supported on|unsupported (host )?(system|platform)|attribute '(aarch64|x86_64)-linux' missing/i,
    (platform) => `does not support ${platform}`,
  ],
  [/has a blocklisted license|non-source/, 'is refused by the policy of the package set'],
]

/**
 * Why nixpkgs refuses a package, from the error message of its evaluation; undefined for other failures.
 * @param platform the name of the platform for the message: `arm64`
 */
export function refusalOf(message: string, platform: string): string | undefined {
  for (const [pattern, refusal] of refusals) {
    const match = pattern.exec(message)
    if (match) return typeof refusal === 'string' ? refusal : refusal(platform, match)
  }
  return undefined
}
