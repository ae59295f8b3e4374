import { readdirSync, readFileSync } from 'node:fs'

/** The number of files reserved for builds, Nix and the catalog, besides connections and blobs. */
export const filesKept = 64

/**
 * How many connections a process may accept, so that it can still open files. Each connection may take a blob's file as
 * well, up to `streams`.
 * @param limit the maximum number of open files
 * @param open the number of open files before connections are accepted
 */
export function boundConnections(
  wanted: number,
  { limit, open, streams }: { limit: number; open: number; streams: number },
): number {
  const left = limit - open - filesKept
  return Math.max(1, Math.min(wanted, Math.max(Math.floor(left / 2), left - streams)))
}

/**
 * Reads the limit of this process (RLIMIT_NOFILE, getrlimit(2)), which Node has raised to the hard limit, and how many
 * files are open.
 * @returns undefined if there is no /proc
 */
export function openFilesOf(): { limit: number; open: number } | undefined {
  try {
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    if (soft === undefined) return undefined
    const limit = soft === 'unlimited' ? Infinity : Number(soft)
    return { limit, open: readdirSync('/proc/self/fd').length }
  } catch {
    return undefined
  }
}
