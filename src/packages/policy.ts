/** Allows an attribute if a pattern of `allow` matches (or there is none) and none of `deny` does. */
export function attributeFilter(
  allow: readonly string[],
  deny: readonly string[],
): (attribute: string) => boolean {
  const allowed = allow.map(patternOf)
  const denied = deny.map(patternOf)
  return (attribute) =>
    (allowed.length === 0 || allowed.some((pattern) => pattern.test(attribute))) &&
    !denied.some((pattern) => pattern.test(attribute))
}

/** `*` stands for anything; letters' case makes no difference, as it makes none in looking up. */
const patternOf = (glob: string): RegExp =>
  new RegExp(
    `^${glob
      .split('*')
      .map((part) => RegExp.escape(part))
      .join('.*')}$`,
    'i',
  )

// What nixpkgs says of a package that its policy refuses (pkgs/stdenv/generic/check-meta.nix).
const refusals: readonly [RegExp, string][] = [
  [/has an unfree license/, 'has an unfree licence, which this registry does not serve'],
  [/is marked as broken/, 'is marked as broken'],
  [/is marked as insecure|known vulnerabilities/, 'is marked as insecure'],
  [/is not available on the requested hostPlatform|is not supported on/, 'is not made for this platform'],
  [/has a blocklisted license|non-source/, 'is refused by the policy of the package set'],
]

/** Why nixpkgs refuses a package, from the message of its evaluation; undefined for another failure. */
export const refusalOf = (message: string): string | undefined =>
  refusals.find(([pattern]) => pattern.test(message))?.[1]
