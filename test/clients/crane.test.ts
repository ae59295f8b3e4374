import assert from 'node:assert/strict'
import { it } from 'node:test'
import { allPrograms, run } from '../support/clients/client.ts'
import { openCrane } from '../support/clients/crane.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'crane',
    open: openCrane,
    installed: false,
    missingMessage:
      /MANIFEST_UNKNOWN: (?:linux\/amd64, linux\/arm64: )?Could not find Nix packages: \[hallo\]\. For hallo, did you mean hello\?/,
    failedMessage: /a package could not be built:[^]*last words/,
    afterBreak: () => 'fails',
    reuses: 'layers',
    whileBuilding: 'retries',
    more({ programs, server }) {
      const crane = (...args: readonly string[]) => run(programs, 'crane', args)

      it('verifies every digest, size and type', async () => {
        for (const name of ['shell/hello', 'arm64/shell/hello', 'hello'])
          assert.match(await crane('validate', '--remote', `${server().address}/${name}`), /^PASS/)
      })

      it('lists tags, and reads manifests, configs and blobs', async () => {
        const image = `${server().address}/amd64/shell/hello`
        assert.equal(await crane('ls', image), 'latest')
        const { config } = JSON.parse(await crane('manifest', image)) as { config: { digest: string } }
        assert.equal(await crane('blob', `${image}@${config.digest}`), await crane('config', image))
      })
    },
  },
  await allPrograms(),
)
