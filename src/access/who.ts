import type { Identity } from './identity.ts'

/** The clients that a rule applies to. */
export type Who =
  | { readonly kind: 'everyone' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly name: string }
  | { readonly kind: 'group'; readonly name: string }
  | {
      readonly kind: 'issuer'
      readonly name: string
      readonly claims: readonly (readonly [name: string, glob: string])[]
    }

const claim = /^(?<name>[^\s=]+)=(?<glob>\S+)$/

/**
 * Reads `everyone`, `anonymous`, `user:alice`, `group:dev`, or `issuer:gha repository=org/*`, in which `*` matches
 * anything; undefined for anything else.
 */
export function parseWho(text: string): Who | undefined {
  if (text === 'everyone' || text === 'anonymous') return { kind: text }
  const {
    kind,
    name = '',
    rest = '',
  } = /^(?<kind>user|group|issuer):(?<name>\S+)(?<rest>(?: +\S+)*)$/.exec(text)?.groups ?? {}
  const claims = rest.split(' ').filter((each) => each !== '')
  if (kind === 'issuer') {
    const read = claims.map((each) => claim.exec(each)?.groups)
    if (read.includes(undefined)) return undefined
    return { kind, name, claims: read.map((groups) => [groups?.['name'] ?? '', groups?.['glob'] ?? '']) }
  }
  return (kind === 'user' || kind === 'group') && claims.length === 0 ? { kind, name } : undefined
}

/** Formats it as a policy does; the inverse of `parseWho`. */
export function whoText(who: Who): string {
  switch (who.kind) {
    case 'everyone':
    case 'anonymous':
      return who.kind
    case 'user':
    case 'group':
      return `${who.kind}:${who.name}`
    case 'issuer':
      return [`issuer:${who.name}`, ...who.claims.map(([name, glob]) => `${name}=${glob}`)].join(' ')
  }
}

/** Whether an identity matches. */
export function matcherOf(who: readonly Who[]): (identity: Identity) => boolean {
  const tests = who.map(testOf)
  return (identity) => tests.some((test) => test(identity))
}

function testOf(who: Who): (identity: Identity) => boolean {
  switch (who.kind) {
    case 'everyone':
      return () => true
    case 'anonymous':
      return ({ how }) => how === 'anonymous'
    case 'user': {
      const matches = globOf(who.name)
      // An issuer chooses the names of its tokens' holders, which could be those of any user.
      return ({ how, name, issuer }) => how !== 'anonymous' && issuer === undefined && matches(name)
    }
    case 'group': {
      const matches = globOf(who.name)
      return ({ groups }) => groups.some(matches)
    }
    case 'issuer': {
      const { name, claims } = who
      const tests = claims.map(([claimName, glob]) => [claimName, globOf(glob)] as const)
      return (identity) =>
        identity.issuer === name &&
        tests.every(([claimName, matches]) => valuesOf(identity.claims, claimName).some(matches))
    }
  }
}

/** The values of a claim as texts. */
function valuesOf(claims: Identity['claims'], name: string): string[] {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  return (Array.isArray(value) ? (value as unknown[]) : [value]).flatMap((each) =>
    typeof each === 'string' || typeof each === 'number' || typeof each === 'boolean' ? [String(each)] : [],
  )
}

function globOf(glob: string): (text: string) => boolean {
  const expression = new RegExp(
    `^${glob
      .split('*')
      .map((part) => RegExp.escape(part))
      .join('.*')}$`,
    's',
  )
  return (text) => expression.test(text)
}
