import { allPrograms } from '../support/clients/client.ts'
import { openDockerOnContainerd } from '../support/clients/docker.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'docker with containerd’s image store',
    open: openDockerOnContainerd,
    installed: false,
    saysOfMissing: /shell\/hallo:latest: not found/,
    saysOfFailed: /422 Unprocessable/,
    afterBreak: () => 'asks for the rest',
    reuses: 'layers',
    whileBuilding: 'comes back',
  },
  await allPrograms(),
)
