import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readConfig } from './config.ts'
import { policyOf, restrictionOf, withoutEffect } from './evaluation.ts'

const config = (environment: Record<string, string>) => readConfig({ HOME: '/root', ...environment })

describe('restrictionOf', () => {
  const table: [environment: Record<string, string>, restricted: boolean][] = [
    [{}, false],
    [{ NIXERY_PKGS_PATH: '/set' }, false],
    [{ NIXERY_PKGS_PATH: '/set', NIXERY_EVAL: 'restricted' }, true],
    [{ NIXERY_CHANNEL: 'nixos-unstable' }, true],
    [{ NIXERY_PKGS_REPO: 'https://example.org/x' }, true],
    [{ NIXERY_FLAKE: 'github:a/b' }, true],
    [{ NIXERY_FLAKE: 'github:a/b', NIXERY_EVAL: 'open' }, false],
  ]
  for (const [environment, restricted] of table) {
    it(`${restricted ? 'restricts' : 'does not restrict'} ${JSON.stringify(environment)}`, () => {
      assert.equal(restrictionOf(config(environment)) !== undefined, restricted)
    })
  }

  it('lists the operator’s readable files', () => {
    const files = { NIXERY_OVERLAYS: '/o/a.nix /o/b.nix', NIXERY_NIXPKGS_CONFIG: '/o/config.nix' }
    const { readable } = restrictionOf(config({ NIXERY_CHANNEL: 'x', ...files })) ?? assert.fail()
    assert.deepEqual(readable, ['/o/a.nix', '/o/b.nix', '/o/config.nix'])
  })
})

describe('policyOf', () => {
  it('contains what is set', () => {
    assert.deepEqual(policyOf(config({})), { config: {}, overlays: [] })
    assert.deepEqual(policyOf(config({ NIXERY_ALLOW_UNFREE: '1', NIXERY_NIXPKGS_CONFIG: '/c.nix' })), {
      config: { allowUnfree: true },
      configFile: '/c.nix',
      overlays: [],
    })
  })
})

describe('withoutEffect', () => {
  it('names the setting to use instead', () => {
    const set = { NIXPKGS_ALLOW_UNFREE: '1', NIXPKGS_ALLOW_INSECURE: '1', NIXPKGS_ALLOW_BROKEN: '' }
    assert.deepEqual(withoutEffect(set, config({})), [
      'NIXPKGS_ALLOW_UNFREE has no effect: set NIXERY_ALLOW_UNFREE',
      'NIXPKGS_ALLOW_INSECURE has no effect: set NIXERY_NIXPKGS_CONFIG',
    ])
    assert.deepEqual(withoutEffect(set, config({ NIXERY_NIX_ENV: 'NIXPKGS_ALLOW_UNFREE' })).length, 1)
  })
})
