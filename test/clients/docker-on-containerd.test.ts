import { allPrograms } from '../support/clients/client.ts'
import { openDockerOnContainerd } from '../support/clients/docker.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'docker with containerd’s image store',
    open: openDockerOnContainerd,
    installed: false,
    missingMessage: /shell\/hallo:latest: not found/,
    failedMessage: /422 Unprocessable/,
    afterBreak: () => 'requests the rest',
    reuses: 'layers',
    whileBuilding: 'retries',
  },
  await allPrograms(),
)
