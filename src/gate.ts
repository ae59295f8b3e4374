import { firstOf } from './access/credentials.ts'
import { allowAll, allowKnown, type May } from './access/may.ts'
import type { Config } from './config.ts'
import { htpasswdAuthenticator, parseHtpasswd } from './credentials/htpasswd.ts'
import { verifyPassword } from './credentials/passwords.ts'
import { NixeryError, systemErrorCode } from './errors.ts'
import { followFile, type FollowedFile } from './fs/followed-file.ts'
import { basicChallenge, type Guard } from './http/guard.ts'
import type { Logger } from './telemetry/log.ts'

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

/** @throws CONFIG_INVALID if a file is not good */
export async function openGate(config: Config, log: Pick<Logger, 'info' | 'warn'>): Promise<Gate> {
  const { NIXERY_AUTH: mode, NIXERY_HTPASSWD: htpasswd } = config
  if (mode === 'none' || htpasswd === undefined) return open
  const users = await follow('NIXERY_HTPASSWD', htpasswd, parseHtpasswd, log)
  const authenticate = firstOf([htpasswdAuthenticator(() => users.value, verifyPassword)])
  return {
    may: allowKnown,
    guard: { authenticate, challenge: () => basicChallenge },
    look: () => users.look(),
    close: () => users.stop(),
  }
}

/** Follows the file that a setting names, and tells the log of its changes. */
async function follow<T>(
  setting: string,
  path: string,
  parse: (text: string) => T,
  log: Pick<Logger, 'info' | 'warn'>,
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
