import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { allPrograms, isBefore } from '../support/clients/client.ts'
import { openSkopeo } from '../support/clients/skopeo.ts'
import { run } from '../support/clients/client.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'skopeo (with umoci and runc)',
    open: openSkopeo,
    installed: true,
    missingMessage:
      /manifest unknown: (?:linux\/amd64, linux\/arm64: )?Could not find Nix packages: \[hallo\]\. For hallo, did you mean hello\?/,
    failedMessage: /a package could not be built:[^]*last words/,
    // Some version between 1.9 and 1.18 added range requests.
    afterBreak: (version) => (isBefore(version, '1.12') ? 'fails' : 'requests the rest'),
    reuses: 'layers',
    whileBuilding: 'retries',
    more({ programs, server, folder }) {
      const skopeo = (...args: readonly string[]) => run(programs, 'skopeo', args)

      it('inspects an image, and lists its tags', async () => {
        const image = `docker://${server().address}/shell/hello`
        const inspected = JSON.parse(await skopeo('inspect', '--tls-verify=false', image)) as Inspected
        assert.equal(inspected.Architecture, 'amd64')
        assert.deepEqual(inspected.RepoTags, ['latest'])
        const listed = JSON.parse(await skopeo('list-tags', '--tls-verify=false', image)) as {
          Tags: string[]
        }
        assert.deepEqual(listed.Tags, ['latest'])
      })

      it('copies an image to a folder and to an archive for docker', async () => {
        const image = `docker://${server().address}/shell/hello`
        const to = (name: string) => join(folder(), `${name}-${programs.suite}`)
        for (const target of [`dir:${to('dir')}`, `docker-archive:${to('archive')}:hello:latest`])
          await skopeo('copy', '--src-tls-verify=false', image, target)
      })

      it('copies all platforms of an index', async () => {
        const target = `oci:${join(folder(), `index-${programs.suite}`)}:hello`
        await skopeo('copy', '--all', '--src-tls-verify=false', `docker://${server().address}/hello`, target)
      })
    },
  },
  await allPrograms(),
)

type Inspected = { Architecture: string; RepoTags: string[] }
