import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

const interval = 1_000

/**
 * Watches the size of a folder while something is written to it.
 * @param limit bytes
 * @returns a signal that fires when the folder exceeds the limit; call `stop` to end watching
 */
export function watchSize(folder: string, limit: number): { exceeded: AbortSignal; stop: () => void } {
  const controller = new AbortController()
  let looking = false
  const look = async () => {
    if (looking) return
    looking = true
    if ((await sizeOf(folder)) > limit) controller.abort()
    looking = false
  }
  const timer = setInterval(() => void look(), interval)
  return { exceeded: controller.signal, stop: () => clearInterval(timer) }
}

/** The total size of the files in a folder in bytes; files that vanish are ignored. */
async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  let size = 0
  for (const entry of entries) {
    if (entry.isFile())
      size += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size
  }
  return size
}
