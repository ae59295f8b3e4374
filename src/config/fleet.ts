import { listOf, oneOf, whole } from './values.ts'

/** The role of this process, if several share a database. */
export const fleetSettings = {
  NIXERY_ROLE: oneOf('all', 'front', 'worker')
    .default('all')
    .describe(
      'role of this process: `front` serves clients and needs no Nix, `worker` builds images and serves only `/healthz`, `/readyz` and `/metrics`, `all` does both; `front` and `worker` need NIXERY_DATABASE_URL; see scaling.md',
    ),
  NIXERY_WORKER_BUILDS: whole('a number of builds', 1, 1_000)
    .default(8)
    .describe('maximum number of concurrent builds of this process, with NIXERY_DATABASE_URL'),
  NIXERY_WORKER_PLATFORMS: listOf(['amd64', 'arm64'])
    .default(['amd64', 'arm64'])
    .describe('platforms that this process builds images for, with NIXERY_DATABASE_URL'),
  NIXERY_LEASE: whole('a number of seconds', 3, 3_600)
    .default(12)
    .describe(
      'seconds after which another worker takes over the builds of a worker that has stopped silently; must be equal on all processes',
    ),
}
