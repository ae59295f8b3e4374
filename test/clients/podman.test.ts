import { allPrograms, isBefore } from '../support/clients/client.ts'
import { openPodman } from '../support/clients/podman.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'podman',
    open: openPodman,
    installed: true,
    saysOfMissing:
      /manifest unknown: (?:linux\/amd64, linux\/arm64: )?Could not find Nix packages: \[hallo\]\. For hallo, did you mean hello\?/,
    saysOfFailed: /a package could not be built:[^]*last words/,
    // It changed somewhere between 4.3 and 5.4.
    afterBreak: (version) => (isBefore(version, '4.4') ? 'fails' : 'asks for the rest'),
    reuses: 'layers',
    whileBuilding: 'comes back',
  },
  await allPrograms(),
)
