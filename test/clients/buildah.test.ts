import { allPrograms, isBefore } from '../support/clients/client.ts'
import { openBuildah } from '../support/clients/podman.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'buildah',
    open: openBuildah,
    installed: true,
    missingMessage:
      /manifest unknown: (?:linux\/amd64, linux\/arm64: )?Could not find Nix packages: \[hallo\]\. For hallo, did you mean hello\?/,
    failedMessage: /a package could not be built:[^]*last words/,
    // Some version between 1.28 and 1.39 added range requests.
    afterBreak: (version) => (isBefore(version, '1.29') ? 'fails' : 'requests the rest'),
    reuses: 'layers',
    whileBuilding: 'retries',
  },
  await allPrograms(),
)
