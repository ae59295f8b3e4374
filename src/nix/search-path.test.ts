import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { searchPathOf, targetsOf } from './search-path.ts'

describe('searchPathOf', () => {
  it('is NIX_PATH, or the channels of the user, which an evaluation would not find', async () => {
    assert.equal(searchPathOf({ NIX_PATH: 'nixpkgs=/srv/nixpkgs', HOME: '/root' }), 'nixpkgs=/srv/nixpkgs')
    assert.equal(searchPathOf({ NIX_PATH: '' }), '')
    const home = await mkdtemp(join(tmpdir(), 'nixery-home-'))
    assert.equal(searchPathOf({ HOME: home }), undefined)
    const channels = join(home, '.nix-defexpr/channels')
    await mkdir(channels, { recursive: true })
    assert.equal(searchPathOf({ HOME: home })?.split(':')[0], channels)
    await rm(home, { recursive: true })
  })
})

describe('targetsOf', () => {
  const table: [searchPath: string, paths: string[], addresses: string[]][] = [
    ['', [], []],
    ['nixpkgs=/srv/nixpkgs:/srv/channels', ['/srv/nixpkgs', '/srv/channels'], []],
    ['nixpkgs=https://example.org/x.tar.gz:/srv', ['/srv'], ['https://example.org/x.tar.gz']],
    ['/srv:nixpkgs=channel:nixos-unstable', ['/srv'], ['channel:nixos-unstable']],
    ['nixpkgs=flake:nixpkgs:a=/b=c', ['/b=c'], ['flake:nixpkgs']],
    ['channel:x:/srv', ['/srv'], ['channel:x']],
    ['relative', [], ['relative']],
  ]
  for (const [searchPath, paths, addresses] of table) {
    it(`reads ${JSON.stringify(searchPath)}`, () => {
      assert.deepEqual(targetsOf(searchPath), { paths, addresses })
    })
  }
})
