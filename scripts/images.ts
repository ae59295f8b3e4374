import { runMatrix } from './matrix.ts'

// Runs every image in containers of all runtimes, with the installed releases and those of Debian sid.
await runMatrix({
  variable: 'NIXERY_IMAGES',
  patterns: ['test/{images,recipes}/*.test.ts'],
  programs: [
    ...(['nix-store', 'podman', 'buildah', 'containerd', 'ctr', 'dockerd', 'runc'] as const),
    ...(['skopeo', 'umoci', 'docker-registry', 'mmdebstrap'] as const),
  ],
})
