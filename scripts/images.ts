import { runMatrix } from './matrix.ts'

// Runs every image in the containers of all runtimes: those that are installed, and those of Debian's newest release.
await runMatrix({
  variable: 'NIXERY_IMAGES',
  patterns: ['test/{images,recipes}/*.test.ts'],
  programs: [
    ...(['nix-store', 'podman', 'buildah', 'containerd', 'ctr', 'dockerd', 'runc'] as const),
    ...(['skopeo', 'umoci', 'docker-registry', 'mmdebstrap'] as const),
  ],
})
