import { allPrograms, isBefore } from '../support/clients/client.ts'
import { openPodman } from '../support/clients/podman.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'podman',
    open: openPodman,
    installed: true,
    missingMessage:
      /manifest unknown: (?:linux\/amd64, linux\/arm64: )?Could not find Nix packages: \[hallo\]\. For hallo, did you mean hello\?/,
    failedMessage: /a package could not be built:[^]*last words/,
    // Some version between 4.3 and 5.4 added range requests.
    afterBreak: (version) => (isBefore(version, '4.4') ? 'fails' : 'requests the rest'),
    reuses: 'layers',
    whileBuilding: 'retries',
  },
  await allPrograms(),
)
