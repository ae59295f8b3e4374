import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readConfig, type Config } from '../config.ts'
import { secretsOf } from './secrets.ts'
import { serverFolders } from './server-folders.ts'
import { configOfSet, namedSets, vocabularyOf } from './set-config.ts'

const read = (environment: Readonly<Record<string, string>>): Config =>
  readConfig({ HOME: '/h', ...environment })
const sets =
  'stable=channel:nixos-25.11, tools=git:https://me:hunter2@a.b/c.git,here=path:/srv/set fl=flake:github:o/r'

describe('NIXERY_SETS', () => {
  it('names package sets, the first of which is the default', () => {
    const named = namedSets(read({ NIXERY_SETS: sets }))
    assert.deepEqual(named, [
      { name: 'stable', source: { kind: 'channel', place: 'nixos-25.11' } },
      { name: 'tools', source: { kind: 'git', place: 'https://me:hunter2@a.b/c.git' } },
      { name: 'here', source: { kind: 'path', place: '/srv/set' } },
      { name: 'fl', source: { kind: 'flake', place: 'github:o/r' } },
    ])
    assert.deepEqual([...vocabularyOf(read({ NIXERY_SETS: sets })).sets], ['stable', 'tools', 'here', 'fl'])
    assert.equal(vocabularyOf(read({})).sets.size, 0)
  })

  it('configures each set like a single one', () => {
    const config = read({ NIXERY_SETS: sets, NIXERY_OVERLAYS: '/o.nix', NIXERY_ALLOW_UNFREE: '1' })
    const [stable, tools, here, flake] = (namedSets(config) ?? []).map((set) => configOfSet(config, set))
    const alone = read({ NIXERY_CHANNEL: 'nixos-25.11', NIXERY_OVERLAYS: '/o.nix', NIXERY_ALLOW_UNFREE: '1' })
    assert.deepEqual(stable, alone)
    assert.equal(tools?.NIXERY_PKGS_REPO, 'https://me:hunter2@a.b/c.git')
    assert.equal(here?.NIXERY_PKGS_PATH, '/srv/set')
    // A flake has no arguments, so its packages do not depend on these.
    assert.deepEqual([flake?.NIXERY_OVERLAYS, flake?.NIXERY_ALLOW_UNFREE], [[], false])
  })

  for (const [what, environment, message] of [
    [
      'one of the settings for a single set',
      { NIXERY_SETS: 'a=path:/x', NIXERY_CHANNEL: 'c' },
      /NIXERY_SETS, NIXERY_CHANNEL: .*one of these only/,
    ],
    ['another of them', { NIXERY_SETS: 'a=path:/x', NIXERY_FLAKE: 'c' }, /NIXERY_SETS, NIXERY_FLAKE/],
    ['a word of the name grammar', { NIXERY_SETS: 'shell=path:/x' }, /"shell=path:\/x" is not a list/],
    ['another one', { NIXERY_SETS: 'a=path:/x,ci=path:/y' }, /is not a list/],
    ['a name twice', { NIXERY_SETS: 'a=path:/x,a=path:/y' }, /is not a list/],
    ['a name with a dot', { NIXERY_SETS: 'nixos-25.11=path:/x' }, /is not a list/],
    ['two dashes, which begin a version', { NIXERY_SETS: 'a--1=path:/x' }, /is not a list/],
    ['an unknown kind', { NIXERY_SETS: 'a=svn:/x' }, /is not a list/],
    ['no place', { NIXERY_SETS: 'a=path:' }, /is not a list/],
    [
      'too many',
      { NIXERY_SETS: Array.from({ length: 17 }, (_, i) => `s${i}=path:/x`).join() },
      /is not a list/,
    ],
    [
      'a set without a commit if images name one',
      { NIXERY_SETS: 'a=git:https://a.b/c,b=path:/x', NIXERY_CREATED: 'revision' },
      /NIXERY_CREATED=revision: needs/,
    ],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => read(environment), message)
    })
  }

  it('hides credentials in its URLs and the paths of its folders', () => {
    const secrets = secretsOf({ NIXERY_SETS: sets.replace('fl=', 'x=git:https://hunter3token@a.b/d,fl=') })
    assert.deepEqual(secrets.toSorted(), ['hunter2', 'hunter3token'])
    assert.ok(serverFolders(read({ NIXERY_SETS: sets })).includes('/srv/set'))
  })
})
