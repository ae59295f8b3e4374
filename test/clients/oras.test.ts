import assert from 'node:assert/strict'
import { it } from 'node:test'
import { allPrograms, run } from '../support/clients/client.ts'
import { openOras } from '../support/clients/crane.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'oras',
    open: openOras,
    installed: false,
    missingMessage: /shell\/hallo:latest: not found$/m,
    failedMessage: /a package could not be built:[^]*last words/,
    afterBreak: () => 'fails',
    reuses: 'layers',
    whileBuilding: 'retries',
    more({ programs, server }) {
      const oras = (...args: readonly string[]) => run(programs, 'oras', args)

      it('reads manifests and blobs, lists tags, and finds no referrers', async () => {
        const image = `${server().address}/amd64/shell/hello`
        const manifest = await oras('manifest', 'fetch', '--plain-http', `${image}:latest`)
        const { config } = JSON.parse(manifest) as { config: { digest: string; size: number } }
        const blob = ['blob', 'fetch', '--plain-http', '--output', '-', `${image}@${config.digest}`]
        assert.equal(Buffer.byteLength(await oras(...blob)), config.size)
        assert.equal(await oras('repo', 'tags', '--plain-http', image), 'latest')
        const referrers = await oras('discover', '--plain-http', '--format', 'json', `${image}:latest`)
        const { referrers: listed } = JSON.parse(referrers) as { referrers?: unknown[] | null }
        assert.deepEqual(listed ?? [], [])
      })
    },
  },
  await allPrograms(),
)
