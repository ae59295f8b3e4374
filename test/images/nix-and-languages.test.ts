import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openPodman, type Podman } from '../../scripts/podman.ts'
import { demoPackages, openWorkspace, type Workspace } from '../support/workspace.ts'

// Tests Nix inside containers, as root and as another user, and modules of interpreters.

const modules = 'python3/python3packages.requests/perl/perlpackages.httpdate/nodejs/nodepackages.semver'

let workspace: Workspace
let podman: Podman
let image: string
before(async () => {
  workspace = await openWorkspace()
  const server = await workspace.serve({ NIXERY_PKGS_PATH: await demoPackages(), NIX_TIMEOUT: '600' })
  podman = await openPodman(join(workspace.folder, 'podman'))
  image = `${server.address}/shell/nix/${modules}`
  await podman.pull(image)
})
after(async () => {
  await podman.destroy()
  await workspace.dispose()
})

const limits = ['--network=none', '--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024']

/** Runs a script with `sh -eu` in a container, and returns the lines of its output. */
async function inside(script: string, options: readonly string[] = []): Promise<string[]> {
  const command = ['sh', '-euc', script]
  const offline = ['--env', 'NIX_CONFIG=substitute = false']
  return (await podman.run('run', '--rm', ...limits, ...offline, ...options, image, ...command)).split('\n')
}

const trivial = `derivation {
  name = "trivial"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built > $out" ];
}`

describe('Nix inside an image', () => {
  it('registers and verifies the store paths of the image', async () => {
    const [known, present, references, verified] = await inside(`
      nix path-info --all | wc -l
      ls -d /nix/store/*-* | wc -l
      echo $(nix-store --query --references $(readlink -f /bin/sh | cut -d/ -f1-4))
      nix-store --verify --check-contents && echo fine`)
    assert.ok(Number(known) > 20, known)
    assert.equal(known, present)
    assert.match(references ?? '', /-glibc-/)
    assert.equal(verified, 'fine')
  })

  it('collects garbage but keeps the container’s programs and profiles', async () => {
    const lines = await inside(`
      before=$(ls -d /nix/store/*-* | wc -l)
      rooted=$(nix-build --no-out-link -E '${trivial}')
      lost=$(nix-build --no-out-link -E '${trivial.replace('built >', 'lost >')}')
      nix-env --set $rooted
      nix-store --gc >/dev/null
      cat $rooted
      [ ! -e $lost ] && echo lost
      [ $(ls -d /nix/store/*-* | wc -l) -ge $before ] && echo whole`)
    assert.deepEqual(lines, ['built', 'lost', 'whole'])
  })

  it('builds as root, and supports flakes', async () => {
    const [built, sum] = await inside(`
      cat $(nix-build --no-out-link -E '${trivial}')
      mkdir /flake; echo '{ outputs = _: { sum = 1 + 1; }; }' > /flake/flake.nix
      nix eval /flake#sum`)
    assert.deepEqual([built, sum], ['built', '2'])
  })

  it('builds in a separate store as a user without an account, if user namespaces are allowed', async () => {
    const allowed = ['--security-opt=seccomp=unconfined', '--security-opt=unmask=ALL']
    const unprivileged = ['--user=1000:1000', '--env=HOME=/tmp']
    const script = `
      nix-build --store $HOME/nix --no-out-link -E '${trivial}' >/dev/null
      cat $HOME/nix/nix/store/*-trivial`
    assert.deepEqual(await inside(script, [...allowed, ...unprivileged]), ['built'])
  })
})

describe('modules requested together with their interpreter', () => {
  it('are found by Python, with their dependencies, however it is started', async () => {
    const script = `
      [ -e /usr/bin/python3 ] || ln -s ../../bin/python3 /usr/bin/python3
      for python in /bin/python3 /usr/bin/python3 python3 '/usr/bin/env python3'; do
        $python -c 'import requests, urllib3; print(urllib3.__file__)'
      done
      python3 -c 'import subprocess, sys; subprocess.run([sys.executable, "-c", "import idna; print(idna.__name__)"])'`
    const expected = '/lib/python3.11/site-packages/urllib3/__init__.py'
    const [root, usr, named, byEnv, child] = await inside(script)
    assert.deepEqual([root, usr, child], [expected, `/usr${expected}`, 'idna'])
    // Either may come first in PATH.
    assert.ok(named === byEnv && [root, usr].includes(named), named)
  })

  it('are found by Perl and Node.js, with their dependencies', async () => {
    const script = `
      perl -MHTTP::Date -e 'print time2str(0), "\n"'
      cd /tmp; node -p 'require("semver").inc("1.2.3", "minor")'`
    assert.deepEqual(await inside(script, ['--user=1000:1000']), ['Thu, 01 Jan 1970 00:00:00 GMT', '1.3.0'])
  })

  it('do not affect programs in the store or virtual environments', async () => {
    const script = `
      $(readlink -f /bin/python3) -c 'import requests' 2>/dev/null || echo none
      python3 -m venv --without-pip /tmp/own; /tmp/own/bin/python3 -c 'import requests' 2>/dev/null || echo none
      env`
    const [store, own, ...variables] = await inside(script)
    assert.deepEqual([store, own], ['none', 'none'])
    assert.deepEqual(
      variables.filter((line) => line.startsWith('PYTHON')),
      [],
    )
  })
})
