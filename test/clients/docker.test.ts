import { allPrograms } from '../support/clients/client.ts'
import { openDocker } from '../support/clients/docker.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'docker',
    open: openDocker,
    installed: true,
    missingMessage:
      /manifest unknown: (?:linux\/amd64, linux\/arm64: )?Could not find Nix packages: \[hallo\]\. For hallo, did you mean hello\?/,
    failedMessage: /a package could not be built:[^]*last words/,
    afterBreak: () => 'requests the rest',
    reuses: 'first layers',
    whileBuilding: 'reports an error',
  },
  await allPrograms(),
)
