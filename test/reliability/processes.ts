import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** A running process. The start time distinguishes it from a later process with the same PID. */
export type ProcessInfo = { readonly pid: number; readonly started: string; readonly command: string }

/** All processes whose environment contains one of these `NAME=value` variables. */
export async function processesWith(variables: readonly string[]): Promise<ProcessInfo[]> {
  const matching: ProcessInfo[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '') // exited, or of another user
    if (!environment.split('\0').some((variable) => variables.includes(variable))) continue
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    const started = await startOf(Number(name))
    if (started !== undefined)
      matching.push({ pid: Number(name), started, command: command.replaceAll('\0', ' ') })
  }
  return matching
}

/** Waits until all processes have exited. @throws Error with those that still run after `seconds` */
export async function untilGone(processes: readonly ProcessInfo[], seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  let left = processes
  for (;;) {
    const running = await Promise.all(left.map(async (one) => (await startOf(one.pid)) === one.started))
    left = left.filter((_, index) => running[index])
    if (left.length === 0) return
    if (performance.now() > deadline) {
      throw new Error(`still running after ${seconds} s:\n${left.map(({ command }) => command).join('\n')}`)
    }
    await sleep(50)
  }
}

/** The start time of a process; undefined if it has exited, even if it is still a zombie. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The name in parentheses may contain anything; after it come state, ppid, …; starttime is field 22 (proc(5)).
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields?.[0] === 'Z' ? undefined : fields?.[19]
}

/** The number of open files of a process. */
export const openFiles = async (pid: number): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length

/** The resident memory of a process, in bytes. */
export async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
}
