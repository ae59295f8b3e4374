import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { readConfig } from '../config.ts'
import { secretsOf } from './secrets.ts'
import { serverFolders } from './server-folders.ts'
import { configOfSet, namedSets, platformsBySet } from './set-config.ts'
import { parseSetsFile } from './sets-file.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-sets-file-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const text = `
[set.unstable]
source = "channel:nixos-unstable"
platforms = ["arm64", "amd64"]
[set.tools]
source = "git:https://me:hunter2@a.b/c.git"
allow = ["git", "python3Packages.*"]
deny = ["git.doc"]
refs = ["refs/heads/release-*"]
config = "config.nix"
recipes = "recipes"
overlays = ["overlays/one.nix", "/two.nix"]
[set.here]
source = "path:packages"
`

describe('NIXERY_SETS_FILE', () => {
  it('contains package sets in order, with their own settings', async () => {
    const file = join(folder, 'sets.toml')
    await writeFile(file, text)
    const config = readConfig({
      HOME: '/h',
      NIXERY_SETS_FILE: file,
      NIXERY_DENY: 'htop',
      NIXERY_ALLOW: 'hello',
    })
    const sets = namedSets(config) ?? []
    assert.deepEqual(
      sets.map(({ name }) => name),
      ['unstable', 'tools', 'here'],
    )
    const [unstable, tools, here] = sets.map((set) => configOfSet(config, set))
    assert.deepEqual(
      [unstable?.NIXERY_CHANNEL, unstable?.NIXERY_DENY, unstable?.NIXERY_ALLOW],
      ['nixos-unstable', ['htop'], ['hello']],
    )
    assert.deepEqual([tools?.NIXERY_ALLOW, tools?.NIXERY_DENY], [['git', 'python3Packages.*'], ['git.doc']])
    assert.deepEqual(tools?.NIXERY_REFS, ['refs/heads/release-*'])
    assert.equal(tools?.NIXERY_NIXPKGS_CONFIG, join(folder, 'config.nix'))
    assert.deepEqual(tools?.NIXERY_OVERLAYS, [join(folder, 'overlays/one.nix'), '/two.nix'])
    assert.deepEqual([tools?.NIXERY_RECIPES, here?.NIXERY_RECIPES], [join(folder, 'recipes'), undefined])
    assert.equal(here?.NIXERY_PKGS_PATH, join(folder, 'packages'))

    const platformsOf = (set?: string) => platformsBySet(config)(set).map(({ architecture }) => architecture)
    assert.deepEqual(
      [platformsOf(), platformsOf('unstable')],
      [
        ['arm64', 'amd64'],
        ['arm64', 'amd64'],
      ],
    )
    assert.deepEqual(platformsOf('tools'), ['amd64'])
    assert.ok(serverFolders(config).includes(join(folder, 'overlays')))
    assert.deepEqual(secretsOf({ NIXERY_SETS_FILE: file }), ['hunter2'])
  })

  for (const [what, lines, problem] of [
    ['nothing', '', /must have a table \[set\.NAME\]/],
    ['other tables', '[sets.a]\nsource = "path:x"', /must have a table \[set\.NAME\]/],
    [
      'a misspelled field, which may have been meant to protect something',
      '[set.a]\nsource = "path:x"\nalow = ["git"]',
      /^\[set\.a\]: alow: unknown field; did you mean allow\?$/,
    ],
    [
      'an unknown field',
      '[set.a]\nsource = "path:x"\nmirror = 1',
      /mirror: unknown field; there are source, allow/,
    ],
    ['a value of another type', '[set.a]\nsource = "path:x"\nallow = "git"', /^\[set\.a\]: allow: /],
    ['no source', '[set.a]\nallow = ["git"]', /^\[set\.a\]: source: /],
    ['an unknown kind of source', '[set.a]\nsource = "svn:x"', /the kinds are channel, git, path, flake/],
    ['a reserved name', '[set.arm64]\nsource = "path:x"', /^\[set\.arm64\]: a name has/],
    ['an unknown platform', '[set.a]\nsource = "path:x"\nplatforms = ["riscv"]', /platforms/],
    ['an invalid ref', '[set.a]\nsource = "git:x"\nrefs = ["main"]', /not the full name of a ref/],
    ['overlays of a flake', '[set.a]\nsource = "flake:x"\noverlays = ["x.nix"]', /no effect on a flake/],
  ] as const) {
    it(`refuses ${what}`, () => {
      const problems: string[] = []
      parseSetsFile(lines, '/', (line) => problems.push(line))
      assert.match(problems.join('\n'), problem)
    })
  }

  it('is reported with the line that is not valid TOML, and cannot be combined with other settings', async () => {
    const file = join(folder, 'bad.toml')
    await writeFile(file, '[set.a]\nsource = \n')
    assert.throws(
      () => readConfig({ NIXERY_SETS_FILE: file }),
      /NIXERY_SETS_FILE: .*bad\.toml, line 2, column \d+: /,
    )
    assert.throws(
      () => readConfig({ NIXERY_SETS_FILE: join(folder, 'none') }),
      /none" is not a file that can be read: ENOENT/,
    )
    const both = { NIXERY_SETS_FILE: join(folder, 'sets.toml'), NIXERY_SETS: 'a=path:/x' }
    assert.throws(() => readConfig(both), /NIXERY_SETS, NIXERY_SETS_FILE: packages can come from one/)
  })
})
