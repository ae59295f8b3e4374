import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import {
  allPrograms,
  releasesToTest,
  isBefore,
  type Client,
  type Programs,
} from '../support/clients/client.ts'
import { openContainerd } from '../support/clients/containerd.ts'
import { openCrane, openOras } from '../support/clients/crane.ts'
import { openDocker } from '../support/clients/docker.ts'
import { openBuildah, openPodman } from '../support/clients/podman.ts'
import { openSkopeo } from '../support/clients/skopeo.ts'
import { startProxy } from '../support/proxy.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

/**
 * The statuses after which a client requests a manifest again, on which `src/http/waiting.ts` relies. Docker sends HEAD,
 * and after any error GET; it sends no third request.
 */
type Row = {
  readonly open: (programs: Programs, folder: string) => Promise<Client>
  readonly installed: boolean
  readonly retriesAfter: (version: string) => readonly number[]
}

// Podman retries after 503 since a version between 5.4 and 5.8, buildah since one between 1.39 and 1.43.

const statuses = [429, 408, 503]
const clients: Readonly<Record<string, Row>> = {
  skopeo: { open: openSkopeo, installed: true, retriesAfter: () => [429] },
  podman: {
    open: openPodman,
    installed: true,
    retriesAfter: (version) => (isBefore(version, '5.5') ? [429, 408] : [429, 408, 503]),
  },
  buildah: {
    open: openBuildah,
    installed: true,
    retriesAfter: (version) => (isBefore(version, '1.40') ? [429, 408] : [429, 408, 503]),
  },
  containerd: {
    open: openContainerd,
    installed: true,
    retriesAfter: (version) => (isBefore(version, '2.0') ? [429, 408] : [429, 408, 503]),
  },
  docker: { open: openDocker, installed: true, retriesAfter: () => [429, 408, 503] },
  crane: { open: openCrane, installed: false, retriesAfter: () => [408, 503] },
  oras: { open: openOras, installed: false, retriesAfter: () => [429, 408, 503] },
}
const releases = await allPrograms()

describe('a client that gets one retry response', () => {
  let workspace: Workspace
  let server: ServerProcess
  before(async () => {
    workspace = await openWorkspace()
    const packages = statuses.map((status) => `for-${status} = script "for-${status}" "echo hi";`)
    server = await workspace.serve({ NIXERY_PKGS_PATH: await workspace.packageSet(packages.join('\n')) })
  })
  after(() => workspace.dispose())

  for (const [name, { open, installed, retriesAfter }] of Object.entries(clients)) {
    for (const programs of releasesToTest(releases, installed)) {
      const title = programs.suite === 'system' ? 'this system' : programs.suite
      const skip = 'missing' in programs && programs.missing
      it(`retries or fails: ${name} of ${title}`, { skip }, async () => {
        if ('missing' in programs) return
        const client = await open(programs, join(workspace.folder, `${name}-${programs.suite}`))
        try {
          const retried: number[] = []
          for (const refuseWith of statuses) {
            const proxy = await startProxy(server.address, { refuseWith })
            if ((await client.pull(`${proxy.address}/for-${refuseWith}`)).ok) retried.push(refuseWith)
            await proxy.stop()
          }
          assert.deepEqual(retried, retriesAfter(client.version))
        } finally {
          await client.dispose()
        }
      })
    }
  }
})
