import { readFile, readlink } from 'node:fs/promises'
import { systemErrorCode } from '../errors.ts'

/** Identifies a process across machines and containers, and among later processes with the same id. */
export type LockOwner = {
  readonly pid: number
  /** The start time of the process in ticks since boot; `-` without /proc. */
  readonly started: string
  /** The boot id of the machine and the PID namespace; `-` without /proc. */
  readonly machine: string
}

const unknown = '-'

/** The owner for this process. */
export async function currentOwner(): Promise<LockOwner> {
  const { started } = (await processStat(process.pid)) ?? { started: unknown }
  return { pid: process.pid, started, machine: await currentMachine() }
}

export const formatOwner = ({ pid, started, machine }: LockOwner): string => `${pid} ${started} ${machine}`

/** @returns undefined if `formatOwner` did not write the text */
export function parseOwner(text: string): LockOwner | undefined {
  const [, pid, started, machine] = /^(\d{1,10}) (\d+|-) (\S+)(?: |$)/.exec(text) ?? []
  if (pid === undefined || started === undefined || machine === undefined) return undefined
  return { pid: Number(pid), started, machine }
}

/** Whether a process has ended; undefined if it runs on another machine or in another PID namespace. */
export async function isGone({ pid, started, machine }: LockOwner): Promise<boolean | undefined> {
  if (machine === unknown || machine !== (await currentMachine())) return undefined
  if (!exists(pid)) return true
  // A running process may be hidden in /proc.
  const current = await processStat(pid)
  return current !== undefined && (current.isZombie || current.started !== started)
}

async function currentMachine(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()}/${await readlink('/proc/self/ns/pid')}`
  } catch {
    return unknown
  }
}

/** Reads field 3 (state) and field 22 (start time) of proc_pid_stat(5). */
async function processStat(pid: number): Promise<{ started: string; isZombie: boolean } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name in field 2 can contain spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, started] = [fields[0], fields[19]]
  return state === undefined || started === undefined
    ? undefined
    : { started, isZombie: 'ZX'.includes(state) }
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return systemErrorCode(error) === 'EPERM'
  }
}
