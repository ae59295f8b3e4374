import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { execa } from 'execa'
import { readConfig } from '../src/config.ts'
import { parseEnvironmentFile } from '../src/config/environment-file.ts'
import { documents } from './support/documents.ts'

// Evaluates deploy/nixos/module.nix with a stub of nixpkgs' lib, and compares it with packaging/nixery.service.

type Directive = string | number | boolean | readonly string[]
type System = {
  environment: { etc: { 'nixery.env': { text: string } } }
  networking: { firewall: { allowedTCPPorts: number[] } }
  systemd: {
    services: { nixery: { environment: Record<string, string>; serviceConfig: Record<string, Directive> } }
  }
}

const root = join(import.meta.dirname, '..')
const expression = `
  let
    inherit (import ${import.meta.dirname}/support/nixos-lib.nix) evaluate;
    nixos = given: evaluate ${root}/deploy/nixos/module.nix ({ enable = true; package = "/package"; } // given);
  in {
    plain = nixos { };
    off = nixos { enable = false; };
    given = nixos {
      settings = {
        NIXERY_CHANNEL = "nixos-unstable";
        NIXERY_PLATFORMS = [ "amd64" "arm64" ];
        NIXERY_KEEP = 0.5;
        NIXERY_GRACE = "60";
        NIXERY_DENY = null;
        NIXERY_TLS_CERT = "/certificate # with $HOME";
        NIX_CONFIG = "connect-timeout = 5\\naccess-tokens = it's";
        PORT = 443;
      };
      credentials.NIXERY_TLS_KEY = "/run/keys/tls";
      environmentFiles = [ "/run/keys/nixery.env" ];
      openFirewall = true;
    };
  }`

/** Formats a directive as in a unit file. */
function format(value: Directive): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return typeof value === 'object' ? value.join(' ') : value.toString()
}

/** The directives of the section [Service]; the last one wins. */
function serviceOf(unit: string): Record<string, string> {
  const [, section = ''] = /\[Service\]\n(.*?)(?=\n\[|$)/s.exec(unit) ?? []
  const lines = section.split('\n').filter((line) => /^\w+=/.test(line))
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]))
}

describe('the NixOS module', () => {
  let systems: Record<'plain' | 'off' | 'given', System>
  let unit: string
  before(async () => {
    const args = ['--eval', '--strict', '--json', '--expr', expression]
    systems = JSON.parse((await execa('nix-instantiate', args, { stdin: 'ignore' })).stdout) as typeof systems
    unit = await readFile(join(root, 'packaging/nixery.service'), 'utf8')
  })

  it('restricts the server like the unit', () => {
    const own = new Set(['ExecStart', 'EnvironmentFile', 'Environment', 'LoadCredential'])
    const others = ([name]: [string, unknown]): boolean => !own.has(name)
    const { serviceConfig } = systems.plain.systemd.services.nixery
    const directives = Object.entries(serviceConfig).map(
      ([name, value]) => [name, format(value)] as [string, string],
    )
    assert.deepEqual(
      Object.fromEntries(directives.filter(others)),
      Object.fromEntries(Object.entries(serviceOf(unit)).filter(others)),
    )
  })

  it('does nothing unless it is enabled', () => {
    assert.deepEqual(systems.off, {})
  })

  it('writes settings that the program reads back', () => {
    const { text } = systems.given.environment.etc['nixery.env']
    const settings = Object.fromEntries(parseEnvironmentFile(text, 'nixery.env'))
    assert.equal(settings['NIX_CONFIG'], "connect-timeout = 5\naccess-tokens = it's")
    assert.ok(!('NIXERY_DENY' in settings))
    const config = readConfig({ ...settings, NIXERY_TLS_KEY: '/key' })
    assert.deepEqual(
      [config.NIXERY_CHANNEL, config.NIXERY_PLATFORMS, config.NIXERY_KEEP, config.NIXERY_TLS_CERT],
      ['nixos-unstable', ['amd64', 'arm64'], 0.5, '/certificate # with $HOME'],
    )
  })

  it('grants the permissions and files that the settings need', () => {
    const { environment, serviceConfig } = systems.given.systemd.services.nixery
    assert.deepEqual(serviceConfig['LoadCredential'], ['NIXERY_TLS_KEY:/run/keys/tls'])
    assert.equal(environment['NIXERY_TLS_KEY'], '%d/NIXERY_TLS_KEY')
    assert.deepEqual(serviceConfig['EnvironmentFile'], ['-/etc/nixery.env', '/run/keys/nixery.env'])
    assert.deepEqual(serviceConfig['AmbientCapabilities'], ['CAP_NET_BIND_SERVICE'])
    assert.deepEqual(serviceConfig['CapabilityBoundingSet'], ['CAP_NET_BIND_SERVICE'])
    assert.equal(serviceConfig['TimeoutStopSec'], 80)
    assert.deepEqual(systems.given.networking.firewall.allowedTCPPorts, [443])
    assert.deepEqual(systems.plain.networking.firewall.allowedTCPPorts, [])
  })
})

describe('the flake', () => {
  it('has an up-to-date lock file, so that Nix looks up nothing', async (test) => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-flake-'))
    test.after(() => rm(folder, { recursive: true, force: true }))
    for (const name of ['flake.nix', 'flake.lock']) await copyFile(join(root, name), join(folder, name))
    const features = ['--extra-experimental-features', 'nix-command flakes']
    const args = ['flake', 'metadata', '--json', '--no-update-lock-file', `path:${folder}`]
    const { stdout } = await execa('nix', [...features, ...args], { stdin: 'ignore', timeout: 60_000 })
    type Metadata = { locks: { nodes: { nixpkgs: { locked: { rev: string } } } } }
    const { locked } = (JSON.parse(stdout) as Metadata).locks.nodes.nixpkgs
    assert.match(locked.rev, /^[0-9a-f]{40}$/)
  })
})

describe('the documentation of the systemd unit', () => {
  // Otherwise commands would use other folders than the server.
  it('sets the folders of the unit in the file that commands read', async () => {
    const unit = await readFile(join(root, 'packaging/nixery.service'), 'utf8')
    const [, assigned = ''] = /^Environment=(.*NIXERY_DATA.*)$/m.exec(unit) ?? []
    // HOME is also the user's home folder.
    const expected = assigned.split(' ').filter((assignment) => !assignment.startsWith('HOME='))
    const page = documents().get('docs/running.md') ?? ''
    const lines = page
      .split('\n')
      .filter((line) => line.endsWith('>>/etc/nixery.env'))
      .join(' ')
    for (const assignment of expected) assert.ok(lines.split(' ').includes(assignment), assignment)
    const front = documents().get('docs/front-server.md') ?? ''
    const [, folder = ''] = /NIXERY_DATA=(\S+)/.exec(assigned) ?? []
    assert.ok(front.includes(`alias ${folder}/store/layers/;`))
  })

  it('has additions that systemd accepts', async (test) => {
    const { failed: missing } = await execa('systemd-analyze', ['--version'], { reject: false })
    if (missing) return test.skip('systemd-analyze is not installed')
    const blocks = (documents().get('docs/running.md') ?? '').matchAll(/```ini\n(.*?)```/gs)
    const additions = [...blocks].map(([, block = '']) => block)
    assert.equal(additions.length, 1)
    const folder = await mkdtemp(join(tmpdir(), 'nixery-unit-'))
    test.after(() => rm(folder, { recursive: true, force: true }))
    const unit = await readFile(join(root, 'packaging/nixery.service'), 'utf8')
    const file = join(folder, 'nixery.service')
    await writeFile(file, `${unit.replace('/usr/local/bin/nixery', '/bin/true')}\n${additions.join('\n')}`)
    const { stderr } = await execa('systemd-analyze', ['verify', '--man=no', file], { reject: false })
    assert.deepEqual(
      stderr.split('\n').filter((line) => line.includes(file)),
      [],
    )
  })
})
