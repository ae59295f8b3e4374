import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'

/** The machine and the software of a measurement. */
export type Machine = {
  readonly processor: string
  /** Cores that this process may use: in a container, possibly fewer than the machine has. */
  readonly cores: number
  /** Bytes. */
  readonly memory: number
  readonly kernel: string
  readonly system: string
  readonly node: string
  readonly nix: string
  /** The commit of this program; with `+` if files differ from it. */
  readonly commit: string
  /** Mean number of running processes in the minute before the start. */
  readonly load: number
}

/** Describes this machine; `unknown` for what cannot be determined. */
export async function describeMachine(): Promise<Machine> {
  const root = join(import.meta.dirname, '..')
  const [nix, commit, changed] = await Promise.all([
    firstLine('nix-store', '--version'),
    firstLine('git', '-C', root, 'rev-parse', '--short=12', 'HEAD'),
    firstLine('git', '-C', root, 'status', '--porcelain', '--untracked-files=no'),
  ])
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: totalmem(),
    kernel: release(),
    system: systemName(),
    node: process.version,
    nix: nix?.replace(/^.*\) /, '') ?? 'unknown',
    commit: commit === undefined ? 'unknown' : `${commit}${changed ? '+' : ''}`,
    load: loadavg()[0] ?? 0,
  }
}

/** A warning about other load; undefined if the machine is idle enough. */
export function tooBusy({ load, cores }: Machine): string | undefined {
  if (load <= 0.25 * cores) return undefined
  return `the load average is ${load.toFixed(2)} on ${cores} cores: other processes are running, and the results will be worse`
}

async function firstLine(program: string, ...args: string[]): Promise<string | undefined> {
  const { failed, stdout } = await execa(program, args, { reject: false, stdin: 'ignore' })
  return failed ? undefined : (stdout.split('\n')[0] ?? '')
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}
