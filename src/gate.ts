import { firstOf, type Authenticate } from './access/credentials.ts'
import type { Identity } from './access/identity.ts'
import { allowAll, allowKnown, type May } from './access/may.ts'
import { createMay, deniesAnything } from './access/policy.ts'
import type { ApiKeys } from './catalog/catalog.ts'
import type { Logouts } from './catalog/logouts.ts'
import type { Config } from './config.ts'
import { apiKeyAuthenticator } from './credentials/api-key.ts'
import { htpasswdAuthenticator, parseHtpasswd } from './credentials/htpasswd.ts'
import type { OwnTokens } from './credentials/own-tokens.ts'
import { verifyPassword } from './credentials/passwords.ts'
import type { FollowedFile } from './fs/followed-file.ts'
import { follow, type FollowDeps } from './gate/follow.ts'
import { gateLogin, sessionOf, type GateLogin } from './gate/login.ts'
import { foreignTokens, openSigned, type Signed } from './gate/tokens.ts'
import type { AuthorizeDeps } from './http/authorize.ts'
import { basicChallenge, tokenChallenge } from './http/challenge.ts'
import type { Guard } from './http/guard.ts'
import type { RecipeContents } from './http/recipe-contents.ts'
import { parsePolicy } from './policy/policy-file.ts'
import type { Quota } from './quotas/quota.ts'
import { quotasOfRules, type QuotaRule } from './quotas/quota-rules.ts'

/** Access control, as configured. */
export type Gate = {
  readonly may: May
  /** See `AuthorizeDeps`. */
  readonly prepare: AuthorizeDeps['prepare']
  /** Undefined if everyone may do everything. */
  readonly guard: Guard | undefined
  /** The quotas of an identity by the current policy; undefined without a policy. */
  readonly quotaOf: ((identity: Identity) => Quota | undefined) | undefined
  /** The quotas of the current policy; none without one. */
  readonly quotaRules: () => readonly QuotaRule[]
  /** With NIXERY_AUTH=token: issues tokens, and verifies other credentials. */
  readonly issuer: { readonly tokens: OwnTokens; readonly authenticate: Authenticate } | undefined
  /** The login of the pages; undefined if everyone may do everything. */
  readonly login: (GateLogin & { readonly authenticate: Authenticate }) | undefined
  /** Checks whether files of users and rules have changed. */
  look(): Promise<void>
  close(): void
}

/** Access control is off. */
const open: Gate = {
  may: allowAll,
  prepare: undefined,
  guard: undefined,
  quotaOf: undefined,
  quotaRules: () => [],
  issuer: undefined,
  login: undefined,
  look: () => Promise.resolve(),
  close() {},
}

export type GateDeps = FollowDeps & {
  readonly apiKeys: Pick<ApiKeys, 'find'>
  readonly logouts: Logouts
  /** The contents of the operator's recipes. */
  readonly contents: RecipeContents
}

/** @throws CONFIG_INVALID if a file is not valid */
export async function openGate(
  config: Config,
  { apiKeys, logouts, contents, ...deps }: GateDeps,
): Promise<Gate> {
  const mode = config.NIXERY_AUTH
  if (mode === 'none') return open
  const { users, policy } = await followFiles(config, deps)
  const files = [users, policy].filter((file) => file !== undefined)
  const foreign =
    policy &&
    foreignTokens(
      () => policy.value.issuers,
      (line) => deps.log.warn(line),
    )
  const authenticators = [
    apiKeyAuthenticator(apiKeys),
    ...(foreign ? [foreign.authenticator] : []),
    ...(users ? [htpasswdAuthenticator(() => users.value, verifyPassword)] : []),
  ]
  const authenticate = firstOf(authenticators)
  let opened: Promise<Signed> | undefined
  const signed = () =>
    (opened ??= openSigned(
      config,
      () => users?.value,
      { apiKeys, logouts },
      () => policy?.value.issuers ?? [],
    ))
  const sessions = async () => (await signed()).sessions
  const tokens = mode === 'token' ? (await signed()).tokens : undefined
  const session = sessionOf(sessions)
  const secure = config.NIXERY_TLS_CERT !== undefined
  const mayByPolicy = policy && ofNow(policy, (value) => createMay(value, (request) => contents.of(request)))
  const lookBy = policy && ofNow(policy, (value) => (deniesAnything(value) ? createMay(value) : undefined))
  const quotas = policy && ofNow(policy, (value) => quotasOfRules(value.quotas))
  return {
    may: mayByPolicy ? (...args) => mayByPolicy()(...args) : allowKnown,
    prepare(identity, subject) {
      const mayBuild = typeof subject === 'object' ? lookBy?.() : undefined
      if (!mayBuild || typeof subject !== 'object' || !subject.imageRequest) return undefined
      const { imageRequest } = subject
      return contents.look(imageRequest, () => mayBuild(identity, 'build', { imageRequest }))
    },
    quotaOf: quotas && ((identity) => quotas()(identity)),
    quotaRules: () => policy?.value.quotas ?? [],
    guard: tokens
      ? {
          authenticate: firstOf([tokens.authenticator, ...authenticators]),
          session,
          challenge: tokenChallenge({ publicUrl: config.NIXERY_PUBLIC_URL, secure }),
          // docker, skopeo and podman send credentials only if `/v2/` responds with a challenge.
          needsToken: ({ path }) => path === '/v2' || path.startsWith('/v2/'),
        }
      : { authenticate, session, challenge: () => basicChallenge },
    issuer: tokens && { tokens, authenticate },
    login: { ...gateLogin(() => policy?.value.issuers ?? [], sessions), authenticate },
    async look() {
      await Promise.all(files.map((file) => file.look()))
    },
    close() {
      for (const file of files) file.stop()
      foreign?.close()
    },
  }
}

async function followFiles(config: Config, deps: FollowDeps) {
  const { NIXERY_HTPASSWD: htpasswd, NIXERY_POLICY: policy } = config
  return {
    users:
      htpasswd === undefined ? undefined : await follow('NIXERY_HTPASSWD', htpasswd, parseHtpasswd, deps),
    policy: policy === undefined ? undefined : await follow('NIXERY_POLICY', policy, parsePolicy, deps),
  }
}

/** Reads the files of users and rules once. @throws CONFIG_INVALID if one is not valid */
export async function checkGateFiles(config: Config): Promise<void> {
  if (config.NIXERY_AUTH === 'none') return
  const silent = { log: { info() {}, warn() {} }, onChange() {} }
  const { users, policy } = await followFiles(config, silent)
  users?.stop()
  policy?.stop()
}

/** A value derived from the contents of a file, and derived again when they change. */
function ofNow<T extends object, Made>(file: FollowedFile<T>, make: (value: T) => Made): () => Made {
  let value = file.value
  let made = make(value)
  return () => {
    if (file.value !== value) {
      value = file.value
      made = make(value)
    }
    return made
  }
}
