import { firstOf, type Authenticator } from './access/credentials.ts'
import { allowAll, allowKnown, type May } from './access/may.ts'
import type { ApiKeys } from './catalog/catalog.ts'
import { createMay, type Policy } from './access/policy.ts'
import type { Config } from './config.ts'
import { apiKeyAuthenticator } from './credentials/api-key.ts'
import { htpasswdAuthenticator, parseHtpasswd } from './credentials/htpasswd.ts'
import { parseIssuers } from './credentials/issuers-file.ts'
import { verifyPassword } from './credentials/passwords.ts'
import { NixeryError, systemErrorCode } from './errors.ts'
import { followFile, type FollowedFile } from './fs/followed-file.ts'
import { basicChallenge, type Guard } from './http/guard.ts'
import { createHttpClient } from './net/http-client.ts'
import { parsePolicy } from './policy/policy-file.ts'
import type { Logger } from './telemetry/log.ts'

type Log = Pick<Logger, 'info' | 'warn'>

/** Who may do what, as it is configured. */
export type Gate = {
  readonly may: May
  /** Undefined if everyone may do everything. */
  readonly guard: Guard | undefined
  /** Looks whether files of users have changed. */
  look(): Promise<void>
  close(): void
}

/** Access control is off. */
const open: Gate = { may: allowAll, guard: undefined, look: () => Promise.resolve(), close() {} }

/**
 * @param apiKeys the keys of clients
 * @throws CONFIG_INVALID if a file is not good
 */
export async function openGate(
  config: Config,
  { log, apiKeys }: { readonly log: Log; readonly apiKeys: Pick<ApiKeys, 'find'> },
): Promise<Gate> {
  const { NIXERY_AUTH: mode, NIXERY_HTPASSWD: htpasswd, NIXERY_POLICY: policyFile } = config
  if (mode === 'none' || htpasswd === undefined) return open
  const users = await follow('NIXERY_HTPASSWD', htpasswd, parseHtpasswd, log)
  const policy =
    policyFile === undefined ? undefined : await follow('NIXERY_POLICY', policyFile, parsePolicy, log)
  const files = [users, ...(policy ? [policy] : [])]
  const may = policy ? followedMay(policy) : allowKnown
  const tokens = await tokensOf(config, log)
  const authenticate = firstOf([
    apiKeyAuthenticator(apiKeys),
    ...(tokens ? [tokens.authenticator] : []),
    htpasswdAuthenticator(() => users.value, verifyPassword),
  ])
  return {
    may,
    guard: { authenticate, challenge: () => basicChallenge },
    async look() {
      await Promise.all([...files.map((file) => file.look()), tokens?.look()])
    },
    close() {
      for (const file of files) file.stop()
      tokens?.close()
    },
  }
}

/** Tokens of the issuers that are configured. Without any, the library for tokens is not loaded. */
async function tokensOf(
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
