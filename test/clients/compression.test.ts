import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ServerProcess } from '../../scripts/server.ts'
import { mediaTypes } from '../../src/image/oci.ts'
import { compressionChoices, openCompressor, type CompressionChoice } from '../../src/layers/compressor.ts'
import { allPrograms, releasesToTest, type Client, type Programs } from '../support/clients/client.ts'
import { openContainerd } from '../support/clients/containerd.ts'
import { openCrane, openOras } from '../support/clients/crane.ts'
import { openDocker } from '../support/clients/docker.ts'
import { openBuildah, openPodman } from '../support/clients/podman.ts'
import { openSkopeo } from '../support/clients/skopeo.ts'
import { requestV2, demoPackages, openWorkspace, type Workspace } from '../support/workspace.ts'
import { assertPulls } from './checks.ts'

type Row = {
  readonly open: (programs: Programs, folder: string) => Promise<Client>
  readonly installed: boolean
  /** The error message of versions without zstd support. */
  readonly withoutZstd?: (version: string) => RegExp | undefined
}

const clients: Readonly<Record<string, Row>> = {
  'skopeo, umoci and runc': {
    open: openSkopeo,
    installed: true,
    withoutZstd: (version) =>
      /umoci 0\.[0-4]\./.test(version) ? /blob is not correct mediatype/ : undefined,
  },
  podman: { open: openPodman, installed: true },
  buildah: { open: openBuildah, installed: true },
  containerd: { open: openContainerd, installed: true },
  docker: { open: openDocker, installed: true },
  crane: { open: openCrane, installed: false },
  oras: { open: openOras, installed: false },
}

// The first bytes of a member: the magic numbers of RFC 1952 and RFC 8878, or the name at the start of a tar entry.
const starts: Readonly<Record<string, Buffer>> = {
  gzip: Buffer.from([0x1f, 0x8b, 8]),
  zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
  none: Buffer.from('nix/store/'),
}

const choices = compressionChoices.filter((choice) => choice !== 'auto')
const missing = new Map<CompressionChoice, string>()
const compressions = new Map<CompressionChoice, string>()
for (const choice of choices) {
  try {
    compressions.set(choice, (await openCompressor(choice, () => {})).format.name)
  } catch (error) {
    missing.set(choice, error instanceof Error ? error.message : String(error))
  }
}
const releases = await allPrograms()

describe('layers of several members', () => {
  let workspace: Workspace
  const servers = new Map<CompressionChoice, ServerProcess>()
  before(async () => {
    workspace = await openWorkspace()
    const environment = { NIXERY_PKGS_PATH: await demoPackages(), NIXERY_MAX_LAYERS: '2', NIX_TIMEOUT: '600' }
    for (const NIXERY_COMPRESSION of compressions.keys())
      servers.set(NIXERY_COMPRESSION, await workspace.serve({ ...environment, NIXERY_COMPRESSION }))
  })
  after(() => workspace.dispose())

  for (const choice of choices) {
    it(`are compressed by ${choice}`, { skip: missing.get(choice) }, async () => {
      const server = servers.get(choice)
      assert.ok(server)
      const members = await membersOf(server, 'jq', starts[compressions.get(choice) ?? ''])
      assert.equal(members.length, 3)
      const [links, ...layers] = members.sort((a, b) => a - b)
      assert.ok(links)
      for (const count of layers) assert.ok(count > 1, String(members))
    })
  }

  for (const [name, { open, installed, withoutZstd }] of Object.entries(clients)) {
    for (const programs of releasesToTest(releases, installed)) {
      const title = programs.suite === 'system' ? 'this system' : programs.suite
      const skip = 'missing' in programs && programs.missing
      it(`are unpacked by ${name} of ${title}, for any compression`, { skip }, async () => {
        if ('missing' in programs) return
        const client = await open(programs, join(workspace.folder, `${name.slice(0, 6)}-${programs.suite}`))
        try {
          for (const [choice, server] of servers) {
            const image = `${server.address}/jq`
            const expectedError = choice === 'zstd' ? withoutZstd?.(client.version) : undefined
            await assertPulls(client, image)
            const ran = await client.run?.(image, '/bin/jq', '-n', '6*7')
            if (ran !== undefined) assert.match(ran.output, expectedError ?? /^42$/m)
          }
        } finally {
          await client.dispose()
        }
      })
    }
  }
})

/** How often the first bytes of a member occur in each layer. */
async function membersOf(
  server: ServerProcess,
  name: string,
  start: Buffer = Buffer.alloc(1),
): Promise<number[]> {
  const headers = { Accept: mediaTypes.oci.manifest }
  const { json } = await requestV2(server, `${name}/manifests/latest`, { headers })
  const { layers } = json as { layers: { digest: string }[] }
  return Promise.all(
    layers.map(async ({ digest }) => {
      const response = await fetch(`http://${server.address}/v2/${name}/blobs/${digest}`)
      return (
        Buffer.from(await response.arrayBuffer())
          .toString('latin1')
          .split(start.toString('latin1')).length - 1
      )
    }),
  )
}
