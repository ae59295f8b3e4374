import { allPrograms, isBefore } from '../support/clients/client.ts'
import { openBuildah } from '../support/clients/podman.ts'
import { describeClient } from './conformance.ts'

describeClient(
  {
    name: 'buildah',
    open: openBuildah,
    installed: true,
    saysOfMissing:
      /manifest unknown: (?:linux\/amd64, linux\/arm64: )?Could not find Nix packages: \[hallo\]\. For hallo, did you mean hello\?/,
    saysOfFailed: /a package could not be built:[^]*last words/,
    // It changed somewhere between 1.28 and 1.39.
    afterBreak: (version) => (isBefore(version, '1.29') ? 'fails' : 'asks for the rest'),
    reuses: 'layers',
    whileBuilding: 'comes back',
  },
  await allPrograms(),
)
