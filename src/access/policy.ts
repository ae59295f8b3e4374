import { formatImageName, impliedPackages, type ImageRequest } from '../image/name.ts'
import { comparableParts, patternsOf, spellingsOf } from '../image/name-patterns.ts'
import { builtIn } from '../image/recipes.ts'
import { splitVersion } from '../image/version.ts'
import type { Identity } from './identity.ts'
import type { Action, May, Subject } from './may.ts'
import { matcherOf, type Who } from './who.ts'

/** Who may do what with which packages. Patterns are as in NIXERY_ALLOW and NIXERY_DENY. */
export type Rule = {
  /** The index of the rule in the policy. */
  readonly line: number
  readonly who: readonly Who[]
  readonly may: readonly Action[]
  readonly packages: readonly string[]
  /** Built-in meta-packages; their packages need no rule. */
  readonly recipes: readonly string[]
  readonly sets: readonly string[]
  /** Packages and recipes that these clients may not use, regardless of other rules. */
  readonly deny: readonly string[]
}

export type Policy = { readonly rules: readonly Rule[] }

/**
 * The packages of the operator's recipes in a request, by the recipe's name; undefined if they are not known, in which
 * case a rule that denies anything denies these recipes.
 */
export type ContentsOf = (request: ImageRequest) => ReadonlyMap<string, readonly string[]> | undefined

const none: ReadonlyMap<string, readonly string[]> = new Map()
const noContents: ContentsOf = () => none

/** Why something is allowed or refused. */
export type Decision = {
  readonly allowed: boolean
  /** The deciding rules, by their index in the policy. */
  readonly rules: readonly number[]
  /** The refused part; undefined if the whole is refused. */
  readonly about?: string
  readonly reason: 'public' | 'allowed' | 'denied' | 'no rule'
}

/** A part of an image. */
type Part = {
  readonly kind: 'packages' | 'recipes' | 'sets'
  readonly name: string
  /** All names that must not be denied. */
  readonly names: readonly string[]
}

/**
 * Evaluates a policy. A rule that denies a part of an image overrides all others; otherwise each part needs a rule that
 * allows it, not necessarily the same one. Without a matching rule, a request is refused.
 */
export function createDecide(
  policy: Policy,
  contentsOf: ContentsOf = noContents,
): (identity: Identity, action: Action, subject: Subject) => Decision {
  const rules = policy.rules.map((rule, index) => ({
    index,
    rule,
    isFor: matcherOf(rule.who),
    packages: matchesPackage(rule.packages),
    recipes: matchesName(rule.recipes),
    sets: matchesName(rule.sets),
    denies: deniesName(rule.deny),
  }))

  const hasDeny = deniesAnything(policy)

  return (identity, action, subject) => {
    if (subject === 'public') return { allowed: true, rules: [], reason: 'public' }
    const mine = rules.filter(({ isFor }) => isFor(identity))
    const able = mine.filter(({ rule }) => rule.may.includes(action))
    // `/v2/`, where clients check their credentials.
    if (subject === 'server' && action === 'pull') {
      return {
        allowed: identity.how !== 'anonymous',
        rules: [],
        reason: identity.how === 'anonymous' ? 'no rule' : 'allowed',
      }
    }
    const request =
      typeof subject === 'object' && 'imageRequest' in subject ? subject.imageRequest : undefined
    const contents = request && hasDeny ? contentsOf(request) : none
    const parts = request ? partsOf(request, contents ?? none) : []
    for (const { name, names } of parts) {
      const denying = mine.find(({ denies }) => names.some(denies))
      if (denying) return { allowed: false, rules: [denying.index], about: name, reason: 'denied' }
    }
    if (contents === undefined) {
      const denying = mine.find(({ rule }) => rule.deny.length > 0)
      if (denying) return { allowed: false, rules: [denying.index], about: 'the recipe', reason: 'denied' }
    }
    // For an image with only the packages of every image, and for other subjects, any rule is sufficient.
    if (able.length === 0) return { allowed: false, rules: [], reason: 'no rule' }
    const deciding = new Set<number>()
    for (const { kind, name } of parts) {
      const either = [name, ...withoutVersion(name)]
      const allowing = able.find((each) => either.some(each[kind]))
      if (!allowing) return { allowed: false, rules: [], about: name, reason: 'no rule' }
      deciding.add(allowing.index)
    }
    const [first] = able
    if (deciding.size === 0 && first) deciding.add(first.index)
    return { allowed: true, rules: [...deciding], reason: 'allowed' }
  }
}

/** Whether the policy denies anything, so that the contents of recipes matter. */
export const deniesAnything = ({ rules }: Policy): boolean => rules.some(({ deny }) => deny.length > 0)

/**
 * The same as a yes or no, which is computed once for each identity and image as long as these objects live; for images
 * with recipes of the operator, each time.
 */
export function createMay(policy: Policy, contentsOf: ContentsOf = noContents): May {
  const decide = createDecide(policy, contentsOf)
  const known = new WeakMap<Identity, WeakMap<object, Map<Action, boolean>>>()
  return (identity, action, subject) => {
    if (typeof subject !== 'object' || !('imageRequest' in subject) || !subject.imageRequest) {
      return decide(identity, action, subject).allowed
    }
    if (contentsOf(subject.imageRequest)?.size !== 0) return decide(identity, action, subject).allowed
    const ofIdentity = known.get(identity) ?? new WeakMap<object, Map<Action, boolean>>()
    known.set(identity, ofIdentity)
    const ofImage = ofIdentity.get(subject.imageRequest) ?? new Map<Action, boolean>()
    ofIdentity.set(subject.imageRequest, ofImage)
    const last = ofImage.get(action)
    if (last !== undefined) return last
    const { allowed } = decide(identity, action, subject)
    ofImage.set(action, allowed)
    return allowed
  }
}

/** Whether a token limited to repositories is valid for a subject. */
export function isInScope(repositories: ReadonlySet<string>, subject: Subject): boolean {
  if (subject === 'public') return true
  if (typeof subject === 'object' && 'imageRequest' in subject && subject.imageRequest) {
    return repositories.has(nameOf(subject.imageRequest))
  }
  return subject === 'server'
}

// The same object for each request of the same name.
const names = new WeakMap<ImageRequest, string>()
function nameOf(request: ImageRequest): string {
  const name = names.get(request) ?? formatImageName(request)
  names.set(request, name)
  return name
}

/**
 * The parts of an image that its name contains. Whether a leading word such as `ci` is a recipe or a package depends on
 * the package set; here it is the recipe, unless the package is denied.
 */
function partsOf(
  { recipes: chosen, words, packages, set }: ImageRequest,
  contents: ReadonlyMap<string, readonly string[]>,
): Part[] {
  const inside = (name: string) =>
    (contents.get(name) ?? []).flatMap((each) => [each, ...withoutVersion(each)])
  const recipeParts = [...chosen, ...words].map((name): Part => {
    const { packages: required = [], optional = [] } = builtIn(name) ?? {}
    return { kind: 'recipes', name, names: [name, ...[...required, ...optional].flat(), ...inside(name)] }
  })
  const packageParts = packages
    .filter((name) => !implied.has(comparableParts(name).join('.')))
    .map((name): Part => ({
      kind: 'packages',
      name,
      names: [name, ...withoutVersion(name), ...inside(name)],
    }))
  const setParts = set === undefined ? [] : [{ kind: 'sets', name: set, names: [set] } as const]
  return [...setParts, ...recipeParts, ...packageParts]
}

/** `git` for `git--2.39`, which is a version of the same package. */
const withoutVersion = (name: string): string[] => {
  const versioned = splitVersion(name)
  return versioned ? [versioned.name] : []
}

const implied: ReadonlySet<string> = new Set(impliedPackages)

type Matches = (name: string) => boolean

const matchesName = (globs: readonly string[]): Matches => {
  const patterns = globs.flatMap(patternsOf)
  return (name) => patterns.some(({ expression }) => expression.test(name.toLowerCase()))
}

// Outputs that packages of nixpkgs have. What a pattern allows is a package with its outputs, but not what is below it:
// `python3` is not `python3.pkgs.requests`.
const outputs: ReadonlySet<string> = new Set(
  'out bin dev lib doc man info devdoc devman debug static data share'.split(' '),
)

function matchesPackage(globs: readonly string[]): Matches {
  const patterns = globs.flatMap(patternsOf)
  const isMatch = (parts: readonly string[]) =>
    patterns.some(({ expression }) => expression.test(parts.join('.')))
  return (name) => {
    // A spelled name may mean either: both must be allowed.
    return spellingsOf(name).every(
      (parts) =>
        isMatch(parts) ||
        (parts.length > 1 && outputs.has(parts.at(-1) ?? '') && isMatch(parts.slice(0, -1))),
    )
  }
}

/**
 * As for NIXERY_DENY: a pattern that matches a name also denies everything below it, and the same name in other
 * instances of the set.
 */
function deniesName(globs: readonly string[]): Matches {
  const patterns = globs.flatMap(patternsOf)
  const isMatch = (parts: readonly string[]) =>
    parts.some((_, index) =>
      patterns.some(({ expression }) => expression.test(parts.slice(0, index + 1).join('.'))),
    )
  return (name) =>
    patterns.length > 0 &&
    spellingsOf(name).some((parts) => {
      const below = parts.findIndex((part) => !isInstance(part))
      return Array.from({ length: Math.max(below, 0) + 1 }, (_, index) => parts.slice(index)).some(isMatch)
    })
}

/** Whether an attribute of nixpkgs is another instance of nixpkgs: `pkgs`, `pkgsStatic`, `buildPackages`. */
const isInstance = (part: string): boolean =>
  part.startsWith('pkgs') || /^(?:build|target|host|adjacent|__spliced)packages$/.test(part)
