import { readFile, stat } from 'node:fs/promises'
import { systemErrorCode } from '../errors.ts'

/** A file that is read again when it changes. */
export type FollowedFile<T> = {
  /** The last valid contents. */
  readonly value: T
  /** Checks now. Resolves when a change has been applied or rejected. */
  look(): Promise<void>
  stop(): void
}

export type FollowOptions<T> = {
  /** Reads the file's text. @throws an Error that describes the problem */
  readonly parse: (text: string) => T
  /** Milliseconds between checks. */
  readonly every?: number
  /** Called after each applied change. */
  readonly onChange: (value: T) => void
  /** Called once for each invalid state of the file with the reason. */
  readonly onTrouble: (reason: string) => void
}

// A check is one `stat`.
const usually = 1_000
// Bytes. No list of users or rules is larger, and a larger file is probably another.
const largest = 10_000_000

/**
 * Follows a file by its name, so that it sees links that are switched, as by Kubernetes, and files that are replaced,
 * as by editors; kernel notifications see neither. If the file becomes invalid or disappears, the last valid contents
 * stay in use.
 * @throws the failed system call, or what `parse` throws, if the file is not valid at startup
 */
export async function followFile<T>(path: string, options: FollowOptions<T>): Promise<FollowedFile<T>> {
  const { parse, every = usually, onChange, onTrouble } = options
  let seen = await stateOf(path) // before reading, so that the next check sees concurrent changes
  let text = await readText(path)
  let value = parse(text)
  let looking: Promise<void> | undefined

  const look = async () => {
    const state = await stateOf(path)
    if (state === seen) return
    seen = state
    try {
      const current = await readText(path)
      if (current === text) return
      value = parse(current)
      text = current
    } catch (error) {
      onTrouble(reasonOf(error))
      return
    }
    onChange(value)
  }
  const followed: FollowedFile<T> = {
    get value() {
      return value
    },
    look: () => (looking ??= look().finally(() => (looking = undefined))),
    stop: () => clearInterval(timer),
  }
  const timer = setInterval(() => void followed.look(), every).unref()
  return followed
}

/** A value that differs when the file differs; a missing file is a state, too. */
async function stateOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(':')
  } catch (error) {
    return reasonOf(error)
  }
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > largest) throw new Error(`it is larger than ${largest / 1e6} MB`)
  return readFile(path, 'utf8')
}

const reasonOf = (error: unknown): string =>
  systemErrorCode(error) ?? (error instanceof Error ? error.message : String(error))
