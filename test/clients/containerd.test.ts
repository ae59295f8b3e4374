import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { allPrograms } from '../support/clients/client.ts'
import { openContainerd } from '../support/clients/containerd.ts'
import { startProxy } from '../support/proxy.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'containerd',
    open: openContainerd,
    installed: true,
    // containerd sends HEAD, whose response has no body; the web page shows the reason.
    missingMessage: /shell\/hallo:latest: not found$/m,
    failedMessage: /422 Unprocessable/,
    afterBreak: () => 'requests the rest',
    reuses: 'layers',
    whileBuilding: 'retries',
    more({ programs, server, folder }) {
      it('pulls from a mirror, with the namespace in the query', async () => {
        const containerd = await openContainerd(programs, join(folder(), `mirror-${programs.suite}`))
        const proxy = await startProxy(server().address, {})
        try {
          const image = 'registry.example/shell/hello'
          const { ok, output } = await containerd.pullFromMirror(image, proxy.address)
          assert.ok(ok, output)
          assert.match((await containerd.run?.(image, '/bin/hello'))?.output ?? '', /Hello/)
          assert.ok(proxy.requests.includes('HEAD /v2/shell/hello/manifests/latest?ns=registry.example'))
          assert.ok(proxy.requests.every((request) => request.endsWith('?ns=registry.example')))
        } finally {
          await proxy.stop()
          await containerd.dispose()
        }
      })
    },
  },
  await allPrograms(),
)
