import assert from 'node:assert/strict'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { type Config, configWarnings, readConfig, settingNames, variables } from './config.ts'
import { hasCode } from './errors.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The reported problems; none if the configuration is valid. */
function problemsOf(environment: Environment): string[] {
  try {
    readConfig(environment)
    return []
  } catch (error) {
    assert.ok(hasCode(error, 'CONFIG_INVALID'))
    return error.message.split('\n').slice(1)
  }
}
const namesIn = (problems: readonly string[]) => problems.map((line) => line.trim().split(':')[0])

describe('readConfig', () => {
  const rows: [what: string, environment: Environment, expected: Partial<Config>][] = [
    [
      'has a default for everything',
      {},
      {
        PORT: 8080,
        NIXERY_HOST: '127.0.0.1',
        NIXERY_TAGS: 'latest',
        NIXERY_STORAGE_BACKEND: 'filesystem',
        NIXERY_DATA: join(homedir(), '.local/share/nixery'),
        NIXERY_CACHE: join(homedir(), '.cache/nixery'),
        STORAGE_PATH: join(homedir(), '.local/share/nixery/store'),
        NIX_TIMEOUT: 60,
        NIXERY_BUILD_TIMEOUT: 3600,
        NIXERY_EVAL_TIMEOUT: 120,
        NIXERY_NIX_JOBS: 2,
        NIXERY_MAX_LAYERS: 94,
        NIXERY_LOG_LEVEL: 'info',
      },
    ],
    [
      'treats empty variables as not set',
      { PORT: '', NIXERY_HOST: '', STORAGE_PATH: '', NIXERY_TAGS: '', NIXERY_CHANNEL: '', XDG_DATA_HOME: '' },
      {
        PORT: 8080,
        NIXERY_HOST: '127.0.0.1',
        NIXERY_TAGS: 'latest',
        NIXERY_DATA: join(homedir(), '.local/share/nixery'),
      },
    ],
    [
      'listens on all interfaces if a package set is configured',
      { NIXERY_PKGS_PATH: '/pkgs' },
      { NIXERY_HOST: '0.0.0.0', NIXERY_PKGS_PATH: '/pkgs' },
    ],
    [
      'listens on the configured address',
      { NIXERY_PKGS_PATH: '/pkgs', NIXERY_HOST: '::1' },
      { NIXERY_HOST: '::1' },
    ],
    [
      'uses the XDG folders',
      { XDG_DATA_HOME: '/data', XDG_CACHE_HOME: '/cache' },
      { NIXERY_DATA: '/data/nixery', STORAGE_PATH: '/data/nixery/store', NIXERY_CACHE: '/cache/nixery' },
    ],
    [
      'has the store in its data folder, if only that is set',
      { NIXERY_DATA: '/d', XDG_DATA_HOME: '/data' },
      { NIXERY_DATA: '/d', STORAGE_PATH: '/d/store' },
    ],
    [
      'has the store elsewhere, if configured',
      { NIXERY_DATA: '/d', STORAGE_PATH: '/s/' },
      { STORAGE_PATH: '/s' },
    ],
    [
      'makes folders absolute',
      { NIXERY_DATA: 'd', NIXERY_CACHE: './c', NIXERY_PKGS_PATH: '../p' },
      { NIXERY_DATA: resolve('d'), NIXERY_CACHE: resolve('c'), NIXERY_PKGS_PATH: resolve('..', 'p') },
    ],
    [
      'accepts the lowest numbers',
      { PORT: '0', NIX_TIMEOUT: '1', NIXERY_NIX_JOBS: '1', NIXERY_MAX_LAYERS: '1' },
      { PORT: 0, NIX_TIMEOUT: 1, NIXERY_NIX_JOBS: 1, NIXERY_MAX_LAYERS: 1 },
    ],
    [
      'accepts the highest numbers',
      { PORT: '65535', NIX_TIMEOUT: '604800', NIXERY_NIX_JOBS: '64', NIXERY_MAX_LAYERS: '120' },
      { PORT: 65535, NIX_TIMEOUT: 604800, NIXERY_NIX_JOBS: 64, NIXERY_MAX_LAYERS: 120 },
    ],
    [
      'takes words',
      { NIXERY_TAGS: 'any', NIXERY_LOG_LEVEL: 'warn' },
      { NIXERY_TAGS: 'any', NIXERY_LOG_LEVEL: 'warn' },
    ],
    ['ignores other variables', { HOME: '/', NIXERY_UNHEARD_OF: 'x', PORT: '1' }, { PORT: 1 }],
  ]
  for (const [what, environment, expected] of rows) {
    it(what, () => {
      const config = readConfig(environment)
      const actual = Object.fromEntries(
        Object.keys(expected).map((name) => [name, config[name as keyof Config]]),
      )
      assert.deepEqual(actual, expected)
    })
  }

  const refused: [name: string, values: string[]][] = [
    ['PORT', ['-1', '65536', '80.5', 'http', '8080x', 'NaN', 'Infinity']],
    ['NIX_TIMEOUT', ['0', '-1', '604801', '1.5', '1m']],
    ['NIXERY_BUILD_TIMEOUT', ['0', '604801', 'never']],
    ['NIXERY_EVAL_TIMEOUT', ['0', '604801', 'never']],
    ['NIXERY_NIX_JOBS', ['0', '65', 'all']],
    ['NIXERY_MAX_LAYERS', ['0', '121', '94.5']],
    ['NIXERY_TAGS', ['all', 'LATEST']],
    ['NIXERY_STORAGE_BACKEND', ['floppy', 'Filesystem']],
    ['NIXERY_LOG_LEVEL', ['loud', 'INFO']],
  ]
  for (const [name, values] of refused) {
    it(`refuses ${values.join(', ')} as ${name}`, () => {
      for (const value of values) assert.deepEqual(namesIn(problemsOf({ [name]: value })), [name], value)
    })
  }

  const messages: [name: string, value: string, message: string][] = [
    ['NIX_TIMEOUT', '60s', '"60s" is not a whole number of seconds (1 to 604800)'],
    ['PORT', 'http', '"http" is not a port (0 to 65535)'],
    ['NIXERY_STORAGE_BACKEND', 'floppy', '"floppy" is not filesystem, gcs or s3'],
    ['NIXERY_PLATFORMS', 'amd64,riscv', '"amd64,riscv" is not a list of amd64, arm64'],
    ['NIXERY_STORE_LIMIT', 'lots', '"lots" is not a size such as 500MB or 2TB (1 kB is 1000 bytes)'],
    ['NIXERY_ALLOW_UNFREE', 'perhaps', '"perhaps" is not true or false'],
    ['NIXERY_KEEP', '30d', '"30d" is not a number of days, such as 30 or 0.5'],
    ['NIXERY_WARM', 'git//x', '"git//x" is not a list of image names, such as shell/git shell/python3:v2'],
    ['NIXERY_CHANNEL_TAGS', '(', '"(" is not a valid regular expression'],
    ['NIXERY_COMPRESSION', 'bzip2', '"bzip2" is not auto, libdeflate, gzip, zstd or none'],
    [
      'NIXERY_COMPRESSION',
      'igzip',
      '"igzip" is not supported any more: use libdeflate; blobs that igzip packed are still served',
    ],
    ['S3_ENDPOINT', 'ftp://u:secret@h/x?sig=1', '"ftp://h/x?…" is not an http or https URL'],
  ]
  for (const [name, value, message] of messages) {
    it(`says what ${name}=${value} should be`, () => {
      assert.deepEqual(problemsOf({ [name]: value }), [`  ${name}: ${message}`])
    })
  }

  it('shows every rejected value, and never the messages of a library', () => {
    const odd = ['?!', '-1', '1e99', '\u0001', `${'x'.repeat(500)}?`]
    for (const { name } of variables()) {
      for (const line of odd.flatMap((value) => problemsOf({ [name]: value }))) {
        if (line.startsWith(`  ${name}:`) && !line.includes('together')) {
          // Tokens are secret, so their value is not shown.
          assert.match(
            line,
            /^ {2}[A-Z0-9_]+: (".*" is not |is needed|misleads|is for|has no effect|must be (a list of host=token|the URL of a database))/,
          )
          assert.ok(line.length < 300, line)
        }
      }
    }
  })

  it('refuses a misspelled access setting, and warns about others', () => {
    assert.match(problemsOf({ NIXERY_DNEY: 'x' })[0] ?? '', /NIXERY_DNEY: .*did you mean NIXERY_DENY/)
    assert.deepEqual(problemsOf({ NIXERY_CHANEL: 'x' }), [])
    assert.equal(problemsOf({ NIXERY_CHANEL: 'x', PORT: 'y' }).length, 2)
    assert.deepEqual(configWarnings({ NIXERY_CHANEL: 'x' }), [
      'NIXERY_CHANEL: no such setting; did you mean NIXERY_CHANNEL?',
    ])
  })

  it('refuses what has no effect on a flake', () => {
    const flake = (environment: Environment) => problemsOf({ NIXERY_FLAKE: 'path:/set', ...environment })
    for (const [name, value] of [
      ['NIXERY_ALLOW_UNFREE', 'true'],
      ['NIXERY_ALLOW_BROKEN', '1'],
      ['NIXERY_NIXPKGS_CONFIG', '/config.nix'],
      ['NIXERY_OVERLAYS', '/overlay.nix'],
    ] as const) {
      assert.match(flake({ [name]: value }).join(), new RegExp(`${name}: has no effect on NIXERY_FLAKE`))
    }
    assert.deepEqual(flake({ NIXERY_ALLOW_UNFREE: 'false', NIXERY_ALLOW_BROKEN: '0' }), [])
  })

  it('refuses to state commits for packages without one', () => {
    const commit = 'a'.repeat(40)
    const cases: [environment: Environment, isRefused: boolean][] = [
      [{}, true],
      [{ NIXERY_PKGS_PATH: '/set' }, true],
      [{ NIXERY_CHANNEL: 'nixos-unstable' }, true],
      [{ NIXERY_CHANNEL: commit, NIXERY_CHANNEL_TAGS: 'nixos-.*' }, true],
      [{ NIXERY_FLAKE: 'path:/set' }, true],
      [{ NIXERY_CHANNEL: commit }, false],
      [{ NIXERY_PKGS_REPO: 'https://example.org/set' }, false],
      [{ NIXERY_FLAKE: 'github:NixOS/nixpkgs' }, false],
      [{ NIXERY_FLAKE: 'git+https://example.org/set' }, false],
    ]
    for (const [environment, isRefused] of cases) {
      const problems = problemsOf({ NIXERY_CREATED: 'revision', ...environment })
      assert.equal(problems.length, isRefused ? 1 : 0, JSON.stringify(environment))
      if (isRefused)
        assert.match(problems[0] ?? '', /^ *NIXERY_CREATED=revision: needs packages of a known commit/)
    }
    assert.deepEqual(problemsOf({ NIXERY_CREATED: 'epoch' }), [])
  })

  it('reports all problems together', () => {
    const environment = { PORT: 'x', NIX_TIMEOUT: '0', NIXERY_TAGS: 'all', NIXERY_HOST: 'ok' }
    const reported = new Set(namesIn(problemsOf(environment)))
    assert.deepEqual(reported, new Set(['PORT', 'NIX_TIMEOUT', 'NIXERY_TAGS']))
  })

  it('returns an immutable value', () => {
    assert.ok(Object.isFrozen(readConfig({})))
  })
})

describe('variables', () => {
  it('have a name, a format, a meaning, and their actual default', () => {
    const all = variables()
    assert.equal(all.find(({ name }) => name === 'PORT')?.default, '8080')
    assert.deepEqual(all.map(({ name }) => name).toSorted(), settingNames.toSorted())
    for (const { name, form, meaning, default: value } of all) {
      assert.match(name, /^[A-Z0-9_]+$/)
      assert.notEqual(form, '', name)
      assert.notEqual(meaning, '', name)
      assert.deepEqual(readConfig({ [name]: value }), readConfig({}), name)
    }
  })
})
