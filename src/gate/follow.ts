import { createHash } from 'node:crypto'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { followFile, type FollowedFile } from '../fs/followed-file.ts'
import type { Logger } from '../telemetry/log.ts'

/** A change of a file with access rules. */
export type FileChange = {
  /** The setting that names the file. */
  readonly setting: string
  /** `refused`: the file is not valid or is missing, so the previous contents stay in use. */
  readonly what: 'opened' | 'changed' | 'refused'
  /** Describes the contents in use. */
  readonly sha256: string
  readonly reason?: string
}

export type FollowDeps = {
  readonly log: Pick<Logger, 'info' | 'warn'>
  readonly onChange: (change: FileChange) => void
}

/**
 * Follows the file that a setting names, and reports its changes.
 * @throws CONFIG_INVALID if it is not valid at startup
 */
export async function follow<T>(
  setting: string,
  path: string,
  parse: (text: string) => T,
  { log, onChange }: FollowDeps,
): Promise<FollowedFile<T>> {
  let sha256 = ''
  try {
    const file = await followFile(path, {
      parse(text) {
        const value = parse(text)
        sha256 = createHash('sha256').update(text).digest('hex')
        return value
      },
      onChange() {
        log.info(`the file of ${setting} has changed and was reloaded`)
        onChange({ setting, what: 'changed', sha256 })
      },
      onTrouble(reason) {
        log.warn(
          `the file of ${setting} has changed but is not valid; the previous contents stay in use: ${reason}`,
        )
        onChange({ setting, what: 'refused', sha256, reason })
      },
    })
    onChange({ setting, what: 'opened', sha256 })
    return file
  } catch (cause) {
    const code = systemErrorCode(cause)
    const reason = cause instanceof Error ? cause.message : String(cause)
    const problem = code === undefined ? `is not valid: ${reason}` : `cannot be read: ${code}`
    throw new NixeryError('CONFIG_INVALID', `the file of ${setting}, ${path}, ${problem}`, { cause })
  }
}
