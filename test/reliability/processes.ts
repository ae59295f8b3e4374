import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that was seen. Its id alone may be given to another. */
export type Seen = { readonly pid: number; readonly started: string; readonly command: string }

/** All processes that run, and have one of these in their environment, as `NAME=value`. */
export async function processesWith(variables: readonly string[]): Promise<Seen[]> {
  const found: Seen[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '') // ended, or not ours
    if (!environment.split('\0').some((variable) => variables.includes(variable))) continue
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    const started = await startOf(Number(name))
    if (started !== undefined)
      found.push({ pid: Number(name), started, command: command.replaceAll('\0', ' ') })
  }
  return found
}

/** Waits until none of them runs any more. Throws with those that do after so many seconds. */
export async function untilGone(processes: readonly Seen[], seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  let left = processes
  for (;;) {
    const running = await Promise.all(left.map(async (one) => (await startOf(one.pid)) === one.started))
    left = left.filter((_, index) => running[index])
    if (left.length === 0) return
    if (performance.now() > deadline) {
      throw new Error(`these still run after ${seconds} s:\n${left.map(({ command }) => command).join('\n')}`)
    }
    await sleep(50)
  }
}

/** When a process was started; undefined if it has ended, be it that nobody has asked how. */
async function startOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The name in brackets may hold anything; behind it come state, ppid, …; starttime is field 22 (proc(5)).
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields?.[0] === 'Z' ? undefined : fields?.[19]
}

/** Open files of a process. */
export const openFiles = async (pid: number): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length

/** Memory that a process has, in bytes. */
export async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
}
