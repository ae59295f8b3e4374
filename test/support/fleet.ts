import { mkdtemp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { ServerProcess } from '../../scripts/server.ts'
import { startPostgres, type TestPostgres } from '../../src/postgres/testing.ts'
import type { Workspace } from './workspace.ts'

/** The lease of test fleets, in seconds. */
export const leaseOfFleet = 3

/** Front ends and workers in separate processes that share one PostgreSQL database and one store. */
export type TestFleet = {
  readonly postgres: TestPostgres
  readonly url: string
  /** Starts a front end without Nix and git in its PATH. */
  front(environment?: Readonly<Record<string, string>>): Promise<ServerProcess>
  worker(environment?: Readonly<Record<string, string>>): Promise<ServerProcess>
  dispose(): Promise<void>
}

/**
 * @param environment for all processes
 * @param given a database server, which the fleet disposes of; by default a new one
 */
export async function startFleet(
  workspace: Workspace,
  environment: Readonly<Record<string, string>>,
  given?: TestPostgres,
): Promise<TestFleet> {
  const postgres = given ?? (await startPostgres())
  const url = await postgres.database()
  const bare = await mkdtemp(join(workspace.folder, 'no-nix-'))
  for (const program of ['readlink', 'uname']) {
    const { stdout } = await execa('which', [program])
    await symlink(stdout.trim(), join(bare, program))
  }
  const common = {
    STORAGE_PATH: join(workspace.folder, 'store'),
    NIXERY_DATABASE_URL: url,
    NIXERY_LEASE: String(leaseOfFleet),
    ...environment,
  }
  return {
    postgres,
    url,
    front: (own = {}) => workspace.serve({ ...common, NIXERY_ROLE: 'front', PATH: bare, ...own }),
    worker: (own = {}) => workspace.serve({ ...common, NIXERY_ROLE: 'worker', ...own }),
    dispose: () => postgres.dispose(),
  }
}

/** How many log lines of the servers match. */
export const countLog = (servers: readonly Pick<ServerProcess, 'log'>[], pattern: RegExp): number =>
  servers.reduce((sum, { log }) => sum + log.filter(({ msg }) => pattern.test(msg)).length, 0)
