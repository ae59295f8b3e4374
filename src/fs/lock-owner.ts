import { readFile, readlink } from 'node:fs/promises'
import { systemErrorCode } from '../errors.ts'

/** A process, so that neither another machine nor a container nor a later process with the same id passes for it. */
export type LockOwner = {
  readonly pid: number
  /** When the process started, in ticks since the machine did; `-` where there is no /proc. */
  readonly started: string
  /** The machine since its last start, and the name space of its process ids; `-` where there is no /proc. */
  readonly machine: string
}

const unknown = '-'

/** This process. */
export async function ownOwner(): Promise<LockOwner> {
  const { started } = (await lookUp(process.pid)) ?? { started: unknown }
  return { pid: process.pid, started, machine: await ownMachine() }
}

export const formatOwner = ({ pid, started, machine }: LockOwner): string => `${pid} ${started} ${machine}`

/** @returns undefined for what `formatOwner` did not write */
export function parseOwner(text: string): LockOwner | undefined {
  const [, pid, started, machine] = /^(\d{1,10}) (\d+|-) (\S+)(?: |$)/.exec(text) ?? []
  if (pid === undefined || started === undefined || machine === undefined) return undefined
  return { pid: Number(pid), started, machine }
}

/** Whether a process has ended; undefined if that cannot be known here. */
export async function isGone({ pid, started, machine }: LockOwner): Promise<boolean | undefined> {
  if (machine === unknown || machine !== (await ownMachine())) return undefined
  if (!exists(pid)) return true
  // What runs may be hidden in /proc.
  const found = await lookUp(pid)
  return found !== undefined && (found.isZombie || found.started !== started)
}

async function ownMachine(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()}/${await readlink('/proc/self/ns/pid')}`
  } catch {
    return unknown
  }
}

/** From proc_pid_stat(5): the state, which is field 3, and the start, field 22. */
async function lookUp(pid: number): Promise<{ started: string; isZombie: boolean } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name in field 2 may have spaces and parentheses.
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
