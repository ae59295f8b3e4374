import { servicePrograms } from '../test/support/compose/images.ts'
import { runMatrix } from './matrix.ts'

// Runs the tests of all clients, with the installed release and that of Debian sid.
await runMatrix({
  variable: 'NIXERY_CLIENTS',
  patterns: ['test/clients/*.test.ts', 'test/{walk,snippets,compose-stack,package}.test.ts'],
  programs: [
    ...(['nix-store', 'skopeo', 'podman', 'runc', 'umoci', 'buildah'] as const),
    ...(['containerd', 'ctr', 'dockerd', 'docker-registry', 'libdeflate.so.0'] as const),
    ...(['chromium', 'podman-compose'] as const),
    ...servicePrograms,
  ],
})
