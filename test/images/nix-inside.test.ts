import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openPodman, type Podman } from '../../scripts/podman.ts'
import { demoPackages, openWorkspace, type Workspace } from '../support/workspace.ts'

// Nix in a container of an image that has it, as root and as somebody else.

let workspace: Workspace
let podman: Podman
let image: string
before(async () => {
  workspace = await openWorkspace()
  const server = await workspace.serve({ NIXERY_PKGS_PATH: await demoPackages(), NIX_TIMEOUT: '600' })
  podman = await openPodman(join(workspace.folder, 'podman'))
  image = `${server.address}/shell/nix`
  await podman.pull(image)
})
after(async () => {
  await podman.destroy()
  await workspace.dispose()
})

const limits = ['--network=none', '--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024']

/** Runs a script that ends with the first command that fails; gives its lines. */
async function inside(script: string, options: readonly string[] = []): Promise<string[]> {
  const command = ['sh', '-euc', script]
  const offline = ['--env', 'NIX_CONFIG=substitute = false']
  return (await podman.run('run', '--rm', ...limits, ...offline, ...options, image, ...command)).split('\n')
}

const trivial = `derivation {
  name = "trivial"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built > $out" ];
}`

describe('Nix inside an image', () => {
  it('knows the paths of the image, and finds nothing wrong with them', async () => {
    const [known, there, references, verified] = await inside(`
      nix path-info --all | wc -l
      ls -d /nix/store/*-* | wc -l
      echo $(nix-store --query --references $(readlink -f /bin/sh | cut -d/ -f1-4))
      nix-store --verify --check-contents && echo fine`)
    assert.ok(Number(known) > 20, known)
    assert.equal(known, there)
    assert.match(references ?? '', /-glibc-/)
    assert.equal(verified, 'fine')
  })

  it('collects garbage and leaves the container’s programs, and what a profile has', async () => {
    const lines = await inside(`
      before=$(ls -d /nix/store/*-* | wc -l)
      kept=$(nix-build --no-out-link -E '${trivial}')
      lost=$(nix-build --no-out-link -E '${trivial.replace('built >', 'lost >')}')
      nix-env --set $kept
      nix-store --gc >/dev/null
      cat $kept
      [ ! -e $lost ] && echo lost
      [ $(ls -d /nix/store/*-* | wc -l) -ge $before ] && echo whole`)
    assert.deepEqual(lines, ['built', 'lost', 'whole'])
  })

  it('builds as root, and has flakes', async () => {
    const [built, sum] = await inside(`
      cat $(nix-build --no-out-link -E '${trivial}')
      mkdir /flake; echo '{ outputs = _: { sum = 1 + 1; }; }' > /flake/flake.nix
      nix eval /flake#sum`)
    assert.deepEqual([built, sum], ['built', '2'])
  })

  it('builds for a store of its own as a user without a name, where user namespaces are allowed', async () => {
    const allowed = ['--security-opt=seccomp=unconfined', '--security-opt=unmask=ALL']
    const somebody = ['--user=1000:1000', '--env=HOME=/tmp']
    const script = `
      nix-build --store $HOME/nix --no-out-link -E '${trivial}' >/dev/null
      cat $HOME/nix/nix/store/*-trivial`
    assert.deepEqual(await inside(script, [...allowed, ...somebody]), ['built'])
  })
})
