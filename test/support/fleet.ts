import { mkdtemp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { ServerProcess } from '../../scripts/server.ts'
import { startPostgres, type TestPostgres } from '../../src/postgres/testing.ts'
import type { Workspace } from './workspace.ts'

/** How long a lease lasts in a fleet of a test, in seconds. */
export const leaseOfFleet = 3

/** Front ends and workers in processes of their own, over one PostgreSQL and one store. */
export type TestFleet = {
  readonly postgres: TestPostgres
  readonly url: string
  /** A front end, in whose PATH there is neither Nix nor git. */
  front(environment?: Readonly<Record<string, string>>): Promise<ServerProcess>
  worker(environment?: Readonly<Record<string, string>>): Promise<ServerProcess>
  dispose(): Promise<void>
}

/**
 * @param environment common to all processes
 * @param given a database server that ends with the fleet; by default a server of its own
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

/** How often any of these servers has said this. */
export const said = (servers: readonly Pick<ServerProcess, 'log'>[], what: RegExp): number =>
  servers.reduce((sum, { log }) => sum + log.filter(({ msg }) => what.test(msg)).length, 0)
