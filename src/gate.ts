import { firstOf, type Authenticator, type Credentials, type Outcome } from './access/credentials.ts'
import { allowAll, allowKnown, type May } from './access/may.ts'
import type { ApiKeys } from './catalog/catalog.ts'
import { createMay, type Policy } from './access/policy.ts'
import type { Config } from './config.ts'
import { apiKeyAuthenticator, reasonAgainst } from './credentials/api-key.ts'
import { htpasswdAuthenticator, parseHtpasswd, type Users } from './credentials/htpasswd.ts'
import { parseIssuers } from './credentials/issuers-file.ts'
import type { OwnTokens } from './credentials/own-tokens.ts'
import { verifyPassword } from './credentials/passwords.ts'
import { keepTokenKey, readTokenKey } from './credentials/token-key.ts'
import { NixeryError, systemErrorCode } from './errors.ts'
import { followFile, type FollowedFile } from './fs/followed-file.ts'
import { basicChallenge, tokenChallenge } from './http/challenge.ts'
import type { Guard } from './http/guard.ts'
import { createHttpClient } from './net/http-client.ts'
import { parsePolicy } from './policy/policy-file.ts'
import type { Logger } from './telemetry/log.ts'
import { join } from 'node:path'

type Log = Pick<Logger, 'info' | 'warn'>

/** Who may do what, as it is configured. */
export type Gate = {
  readonly may: May
  /** Undefined if everyone may do everything. */
  readonly guard: Guard | undefined
  /** With NIXERY_AUTH=token: issues tokens, and verifies what else clients prove themselves with. */
  readonly issuer:
    | { readonly tokens: OwnTokens; authenticate(credentials: Credentials): Outcome | Promise<Outcome> }
    | undefined
  /** Looks whether files of users have changed. */
  look(): Promise<void>
  close(): void
}

/** Access control is off. */
const open: Gate = {
  may: allowAll,
  guard: undefined,
  issuer: undefined,
  look: () => Promise.resolve(),
  close() {},
}

/**
 * @param apiKeys the keys of clients
 * @throws CONFIG_INVALID if a file is not good
 */
export async function openGate(
  config: Config,
  { log, apiKeys }: { readonly log: Log; readonly apiKeys: Pick<ApiKeys, 'find'> },
): Promise<Gate> {
  const { NIXERY_AUTH: mode, NIXERY_HTPASSWD: htpasswd, NIXERY_POLICY: policyFile } = config
  if (mode === 'none') return open
  const users =
    htpasswd === undefined ? undefined : await follow('NIXERY_HTPASSWD', htpasswd, parseHtpasswd, log)
  const policy =
    policyFile === undefined ? undefined : await follow('NIXERY_POLICY', policyFile, parsePolicy, log)
  const files = [users, policy].filter((file) => file !== undefined)
  const may = policy ? followedMay(policy) : allowKnown
  const foreign = await foreignTokensOf(config, log)
  const authenticators = [
    apiKeyAuthenticator(apiKeys),
    ...(foreign ? [foreign.authenticator] : []),
    ...(users ? [htpasswdAuthenticator(() => users.value, verifyPassword)] : []),
  ]
  const authenticate = firstOf(authenticators)
  const tokens = mode === 'token' ? await ownTokensOf(config, () => users?.value, apiKeys) : undefined
  const secure = config.NIXERY_TLS_CERT !== undefined
  return {
    may,
    guard: tokens
      ? {
          authenticate: firstOf([tokens.authenticator, ...authenticators]),
          challenge: tokenChallenge({ publicUrl: config.NIXERY_PUBLIC_URL?.replace(/\/+$/, ''), secure }),
          // docker, skopeo and podman send credentials only where `/v2/` has asked for them.
          needsToken: ({ path }) => path === '/v2' || path.startsWith('/v2/'),
        }
      : { authenticate, challenge: () => basicChallenge },
    issuer: tokens && { tokens, authenticate },
    async look() {
      await Promise.all([...files.map((file) => file.look()), foreign?.look()])
    },
    close() {
      for (const file of files) file.stop()
      foreign?.close()
    },
  }
}

/** Tokens of the issuers that are configured. Without any, the library for tokens is not loaded. */
async function foreignTokensOf(
  { NIXERY_ISSUERS: path }: Config,
  log: Log,
): Promise<(Pick<Gate, 'look' | 'close'> & { readonly authenticator: Authenticator }) | undefined> {
  if (path === undefined) return undefined
  const issuers = await follow('NIXERY_ISSUERS', path, parseIssuers, log)
  const client = createHttpClient()
  const { jwtAuthenticator } = await import('./credentials/jwt.ts')
  const warn = (line: string) => log.warn(line)
  return {
    authenticator: jwtAuthenticator({ issuers: () => issuers.value, client, warn }),
    look: () => issuers.look(),
    close() {
      issuers.stop()
      client.close()
    },
  }
}

/** Tokens that this server issues. The library for tokens is loaded only then. */
async function ownTokensOf(
  { NIXERY_TOKEN_KEY: keyFile, NIXERY_DATA: data }: Config,
  users: () => Users | undefined,
  apiKeys: Pick<ApiKeys, 'find'>,
): Promise<OwnTokens> {
  const key =
    keyFile === undefined ? await keepTokenKey(join(data, 'token.key')) : await readTokenKey(keyFile)
  const { createOwnTokens } = await import('./credentials/own-tokens.ts')
  return createOwnTokens({
    key,
    secretOf: (name) => users()?.get(name)?.hash,
    userOf: (name) => users()?.get(name)?.identity,
    isCurrent({ how, name, claims }) {
      if (how === 'password') return users()?.has(name) === true
      if (how !== 'key') return true
      const { apiKey } = claims
      return isUsable(apiKeys, typeof apiKey === 'string' ? apiKey : '')
    },
  })
}

async function isUsable(apiKeys: Pick<ApiKeys, 'find'>, id: string): Promise<boolean> {
  const key = await apiKeys.find(id)
  return key !== undefined && reasonAgainst(key, Date.now() / 1000) === undefined
}

/** Decides by what the file says at the time of each request. */
function followedMay(file: FollowedFile<Policy>): May {
  let policy = file.value
  let may = createMay(policy)
  return (...asked) => {
    if (file.value !== policy) {
      policy = file.value
      may = createMay(policy)
    }
    return may(...asked)
  }
}

/** Follows the file that a setting names, and tells the log of its changes. */
async function follow<T>(
  setting: string,
  path: string,
  parse: (text: string) => T,
  log: Log,
): Promise<FollowedFile<T>> {
  try {
    return await followFile(path, {
      parse,
      onChange: () => log.info(`the file of ${setting} has changed, and is in use`),
      onTrouble: (reason) =>
        log.warn(
          `the file of ${setting} has changed and is not good, so what it said before stays in use: ${reason}`,
        ),
    })
  } catch (cause) {
    const code = systemErrorCode(cause)
    const reason = cause instanceof Error ? cause.message : String(cause)
    const told = code === undefined ? `is not valid: ${reason}` : `cannot be read: ${code}`
    throw new NixeryError('CONFIG_INVALID', `the file of ${setting}, ${path}, ${told}`, { cause })
  }
}
