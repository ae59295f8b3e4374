import { accessSync, constants } from 'node:fs'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** The programs of Nix, and those that it uses for downloads. */
const programs = ['nix', 'nix-store', 'nix-instantiate', 'nix-build', 'nix-env', 'nix-shell', 'git'] as const

/** Records which programs a server starts. */
export type StartLog = {
  /** For the server's environment: puts wrappers first in its PATH that write a line and then run the program. */
  readonly environment: { readonly PATH: string }
  /** One line per start so far. */
  starts(): Promise<string[]>
}

/**
 * Fills a folder with wrappers of Nix's programs that log each start.
 * @param folder an empty folder
 */
export async function logStarts(folder: string): Promise<StartLog> {
  const log = join(folder, 'starts.log')
  const path = process.env['PATH'] ?? ''
  await writeFile(log, '')
  for (const program of programs) {
    const real = find(program, path)
    if (real === undefined) continue
    const wrapper = join(folder, program)
    await writeFile(wrapper, `#!/bin/sh\necho "${program} $1" >> '${log}'\nexec '${real}' "$@"\n`)
    await chmod(wrapper, 0o755)
  }
  return {
    environment: { PATH: [folder, path].join(delimiter) },
    starts: async () => (await readFile(log, 'utf8')).split('\n').filter((line) => line !== ''),
  }
}

function find(program: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false // not in this folder
      }
    })
}

/** What the kernel reports about the children of a process. */
export type Children = {
  /** Running children, by process id. */
  readonly running: ReadonlySet<number>
  /**
   * Page faults of children that have exited (`cminflt`, proc(5)). Every process causes at least one fault, so this
   * number is unchanged only if no child has exited.
   */
  readonly faultsOfEnded: number
}

export async function childrenOf(pid: number): Promise<Children> {
  const running = new Set<number>()
  for (const entry of await readdir('/proc')) {
    if (/^\d+$/.test(entry) && (await statusOf(Number(entry)))?.parent === pid) running.add(Number(entry))
  }
  return { running, faultsOfEnded: (await statusOf(pid))?.faultsOfEnded ?? NaN }
}

/** Whether no process was started between two snapshots of the children. */
export const noneStarted = (before: Children, after: Children): boolean =>
  before.faultsOfEnded === after.faultsOfEnded && [...after.running].every((pid) => before.running.has(pid))

async function statusOf(pid: number): Promise<{ parent: number; faultsOfEnded: number } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined) // it has exited
  // The name in brackets may contain anything; after it come state, ppid, …; cminflt is field 11.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields && { parent: Number(fields[1]), faultsOfEnded: Number(fields[8]) }
}

/** Resident memory of a process in bytes: now (VmRSS) and at its peak (VmHWM). */
export async function memoryOf(pid: number): Promise<{ now: number; peak: number }> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024
  return { now: field('VmRSS'), peak: field('VmHWM') }
}

/** What a process has used of the processor (proc(5), `/proc/[pid]/stat`, in hundredths of a second). */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
