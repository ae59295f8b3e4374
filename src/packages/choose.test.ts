import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { parseImageName, type ImageRequest } from '../image/name.ts'
import { builtIn } from '../image/recipes.ts'
import { choosePackages } from './choose.ts'
import { denied, found, invalid, missing, storePathOf } from './resolution-testing.ts'
import { packageTexts, type ChosenOutput, type Resolution, type ResolvedPackage } from './resolution.ts'
import type { DecidedRequest } from './image-packages.ts'

const implied = { cacert: found('cacert'), 'iana-etc': found('iana-etc') }
const decided = (request: ImageRequest): DecidedRequest => ({
  ...request,
  recipes: request.recipes.map((name) => ({ name, recipe: builtIn(name) ?? { packages: [] } })),
  request,
})
const outputsOf = (name: string, resolutions: Record<string, Resolution>): ChosenOutput[] =>
  choosePackages(decided(parseImageName(name)), new Map(Object.entries(resolutions))).packages
const choose = (name: string, resolutions: Record<string, Resolution>): string[] =>
  outputsOf(name, resolutions).map(({ attribute }) => attribute)

const refuses = (code: ErrorCode, message: string, detail: unknown) => (error: unknown) => {
  assert.ok(error instanceof NixeryError)
  assert.deepEqual(
    { code: error.code, message: error.message, detail: error.detail },
    { code, message, detail },
  )
  return true
}

describe('choosePackages', () => {
  it('returns the packages and those that every image gets', () => {
    assert.deepEqual(choose('git/htop', { ...implied, git: found('git'), htop: found('htop') }), [
      'cacert',
      'git',
      'htop',
      'iana-etc',
    ])
  })

  it('works without the packages of every image if the set lacks them', () => {
    const git = { git: found('git') }
    assert.deepEqual(choose('git', { ...git, cacert: missing('ca'), 'iana-etc': invalid('is broken') }), [
      'git',
    ])
    assert.deepEqual(choose('git', git), ['git'])
    assert.deepEqual(choose('arm64', {}), [])
  })

  it('but not if it was requested by name', () => {
    assert.throws(
      () => choose('cacert', { ...implied, cacert: missing() }),
      refuses('PACKAGE_UNKNOWN', 'Could not find Nix packages: [cacert].', {
        missing: ['cacert'],
        suggestions: [],
      }),
    )
  })

  it('returns each output once, with the first of its names', () => {
    const node = { nodejs: found('nodejs', 'node'), nodejs_22: found('nodejs_22', 'node') }
    assert.deepEqual(choose('nodejs_22/nodejs', node), ['nodejs'])
  })

  it('orders by priority, then by the name of the output, including packages that every image gets', () => {
    const resolutions = {
      busybox: found('busybox', 'busybox', { priority: 15 }),
      coreutils: found('coreutils', 'coreutils', { priority: 10 }),
      zsh: found('zsh'),
      cacert: found('cacert', 'cacert', { priority: 7 }),
      'iana-etc': found('iana-etc'),
      first: found('first', 'zz-first', { priority: -1 }),
    }
    const order = ['first', 'iana-etc', 'zsh', 'cacert', 'coreutils', 'busybox']
    for (const name of ['busybox/coreutils/first/zsh', 'zsh/first/coreutils/busybox/cacert'])
      assert.deepEqual(choose(name, resolutions), order)
  })

  it('uses the lower of two priorities of an output with two names', () => {
    const low = found('low', 'tool', { priority: 10 })
    const high = found('high', 'tool', { priority: 1 })
    const chosen = (name: string) => outputsOf(name, { low, high })
    for (const name of ['low/high', 'high/low', 'high'])
      assert.deepEqual(
        chosen(name).map(({ priority }) => priority),
        [1],
      )
  })

  it('returns all outputs of a name, each once, in order', () => {
    const outputs = (...names: string[]) =>
      names.map((output) => ({
        output,
        outputPath: storePathOf(`tool-${output}`),
      })) as ResolvedPackage['outputs']
    const resolutions = {
      tool: found('tool', 'tool', { outputs: outputs('out', 'bin') }),
      'tool.bin': found('tool.bin', 'tool', { package: 'tool', outputs: outputs('bin') }),
      uncle: found('uncle', 'tool-c'),
    }
    const chosen = outputsOf('tool.bin/uncle/tool', resolutions)
    assert.deepEqual(
      chosen.map(({ attribute, output }) => [attribute, output]),
      [
        ['tool', 'bin'],
        ['uncle', 'out'],
        ['tool', 'out'],
      ],
    )
    assert.deepEqual(packageTexts(chosen), ['tool 1 (bin, out)', 'uncle 1'])
  })

  it('does not depend on the names and the order of the same packages', () => {
    const outputs = fc.constantFrom('bash', 'curl', 'git', 'glibc', 'node')
    const aliasName = fc.stringMatching(/^[a-z][a-z0-9]{0,4}$/) // once: creating it takes milliseconds
    const alias = outputs.chain((output) =>
      fc.record({
        name: aliasName,
        output: fc.constant(output),
        priority: fc.constant(output.length),
      }),
    )
    fc.assert(
      fc.property(
        fc.uniqueArray(alias, { selector: ({ name }) => name, minLength: 1, maxLength: 12 }),
        fc.func(fc.string()),
        (aliases, order) => {
          const packages = aliases
            .filter(({ name }) => !['shell', 'arm64', 'amd64'].includes(name))
            .map(({ name, output, priority }): [string, ResolvedPackage] => [
              name,
              found(name, output, { priority }),
            ])
          const request = (names: string[]) => ({ ...parseImageName('hello'), packages: names })
          const chosen = (names: string[], among: [string, ResolvedPackage][]) =>
            choosePackages(decided(request(names)), new Map(among)).packages.map(
              ({ outputPath }) => outputPath,
            )
          const all = chosen(
            packages.map(([name]) => name),
            packages,
          )
          assert.equal(new Set(all).size, all.length)
          const names = packages.map(([name]) => name)
          const shuffled = names.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
          assert.deepEqual(chosen(shuffled, packages.toReversed()), all)
          // One name for each output is enough, whichever.
          const one = new Map(packages.map(([name, { pname }]) => [pname, name]))
          assert.deepEqual(chosen([...one.values()], packages), all)
        },
      ),
    )
  })

  it("reports all missing names with suggestions, beginning with the original's sentence", () => {
    const resolutions = {
      ...implied,
      gti: missing('git', 'gtk'),
      helo: missing('hello'),
      pythn: missing('python', 'python2', 'python3'),
      zzz: missing(),
      htop: found('htop'),
      broken: invalid('does not evaluate'),
    }
    assert.throws(
      () => choose('zzz/gti/helo/htop/broken/pythn', resolutions),
      refuses(
        'PACKAGE_UNKNOWN',
        'Could not find Nix packages: [gti helo pythn zzz]. For gti, did you mean git or gtk?' +
          ' For helo, did you mean hello? For pythn, did you mean python, python2 or python3?',
        {
          missing: ['gti', 'helo', 'pythn', 'zzz'],
          suggestions: [
            { name: 'gti', nearest: ['git', 'gtk'] },
            { name: 'helo', nearest: ['hello'] },
            { name: 'pythn', nearest: ['python', 'python2', 'python3'] },
          ],
        },
      ),
    )
  })

  it('says that a meta-package must come first', () => {
    const rows: [name: string, missing: string, corrected: string][] = [
      ['git/shell', 'shell', 'shell/git'],
      ['htop/git/shell', 'shell', 'shell/git/htop'],
      ['arm64/git/shell', 'shell', 'arm64/shell/git'],
      ['git/arm64', 'arm64', 'arm64/git'],
      ['shell/git/amd64', 'amd64', 'amd64/shell/git'],
      ['git/ci', 'ci', 'ci/git'],
    ]
    for (const [name, meta, corrected] of rows) {
      const shell = ['bashInteractive', 'coreutils', 'moreutils', 'nano']
      const others = Object.fromEntries([...shell, 'git', 'htop'].map((one) => [one, found(one)]))
      const message = `Could not find Nix packages: [${meta}]. \`${meta}\` must come first: ${corrected}`
      const detail = { missing: [meta], suggestions: [{ name: meta, nearest: [corrected] }] }
      assert.throws(
        () => choose(name, { ...implied, ...others, [meta]: missing('shellx') }),
        refuses('PACKAGE_UNKNOWN', message, detail),
      )
    }
    // A package set may have packages with these names.
    assert.deepEqual(choose('git/shell', { git: found('git'), shell: found('shell') }), ['git', 'shell'])
  })

  it('reports why a package is unavailable', () => {
    const resolutions = {
      ...implied,
      lib: invalid('is a set of packages, not a package'),
      map: invalid('is a function, not a package'),
      steam: denied('has an unfree licence'),
    }
    assert.throws(
      () => choose('map/lib', resolutions),
      refuses(
        'PACKAGE_INVALID',
        'lib: is a set of packages, not a package\nmap: is a function, not a package',
        {
          invalid: ['lib', 'map'],
        },
      ),
    )
    assert.throws(
      () => choose('map/steam', resolutions),
      refuses('PACKAGE_DENIED', 'steam: has an unfree licence', { denied: ['steam'] }),
    )
  })
})
