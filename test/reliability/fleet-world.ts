import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { LogLine, ServerProcess } from '../../scripts/server.ts'
import { startFleet, type TestFleet } from '../support/fleet.ts'
import type { Workspace } from '../support/workspace.ts'

/** A process of the fleet. A front end keeps its port over restarts. */
export type Member = {
  readonly role: 'front' | 'worker'
  readonly address: string
  readonly pid: number
  /** What the process that runs now has logged. */
  readonly log: readonly LogLine[]
  /** Ends it, unless it has ended, and starts another in its place. */
  replace(signal: NodeJS.Signals): Promise<void>
  stop(): Promise<void>
}

export type FleetWorld = {
  readonly fleet: TestFleet
  readonly members: readonly Member[]
  /** Names of images, each of which takes a moment to build. */
  readonly names: readonly string[]
  readonly set: string
}

export type FleetWorldOptions = {
  readonly fronts: number
  readonly workers: number
  readonly images: number
  /** More packages, as `Workspace.packageSet` takes them. */
  readonly more?: string
  /** Settings of all processes, such as those of a bucket. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Starts front ends and workers; the workspace ends them. */
export async function openFleetWorld(
  workspace: Workspace,
  { fronts, workers, images, more = '', settings = {} }: FleetWorldOptions,
): Promise<FleetWorld> {
  const names = Array.from({ length: images }, (_, n) => `p${n}`)
  const text = (name: string) => `sleep 0.2; mkdir -p $out/bin; echo ${name} > $out/bin/${name}`
  const trivial = names.map((name) => `${name} = run "${name}" "${text(name)}";`).join('\n')
  const set = await workspace.packageSet(`${trivial}\n${more}`)
  const fleet = await startFleet(workspace, { NIXERY_PKGS_PATH: set, NIXERY_MAX_WAIT: '5', ...settings })
  const member = async (role: Member['role']): Promise<Member> => {
    // A worker serves nobody here, so it has another port each time.
    const port = role === 'front' ? String(await freePort()) : '0'
    const start = () => fleet[role]({ PORT: port })
    let server: ServerProcess = await start()
    return {
      role,
      get address() {
        return server.address
      },
      get pid() {
        return server.pid
      },
      get log() {
        return server.log
      },
      async replace(signal) {
        await server.stop(signal)
        server = await start()
      },
      async stop() {
        await server.stop()
      },
    }
  }
  const roles = [
    ...Array.from({ length: fronts }, () => 'front' as const),
    ...Array.from({ length: workers }, () => 'worker' as const),
  ]
  const members = await Promise.all(roles.map(member))
  return { fleet, members, names, set }
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => {
    probe.listen(0, '127.0.0.1', resolve)
  })
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => {
    probe.close(resolve)
  })
  return port
}

/** A folder of the workspace for what is no member's. */
export const folderIn = (workspace: Workspace, name: string): string => join(workspace.folder, name)
