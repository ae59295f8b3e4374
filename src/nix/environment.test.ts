import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { schema } from '../config/all-settings.ts'
import { environmentFor, withoutSecrets, type EnvironmentOptions, type Purpose } from './environment.ts'

const purposes: readonly Purpose[] = ['evaluate', 'fetch', 'realise']
const settings = Object.keys(schema.shape)
const options: EnvironmentOptions = { home: '/empty', withhold: settings }

describe('environmentFor', () => {
  it('passes no setting of this program, whatever its name', () => {
    const from = Object.fromEntries(
      [...settings, 'NIXERY_ANY', 'S3_ANY', 'GCS_ANY'].map((name) => [name, 'x']),
    )
    for (const purpose of purposes) {
      const passed = Object.keys(environmentFor(purpose, from, options))
      assert.deepEqual(
        passed.filter((name) => name in from),
        [],
        purpose,
      )
    }
  })

  it('passes each purpose what it needs', () => {
    const table: [name: string, purposes: readonly Purpose[]][] = [
      ['PATH', purposes],
      ['TMPDIR', purposes],
      ['LC_ALL', purposes],
      ['NIX_PATH', purposes],
      ['NIX_REMOTE', purposes],
      ['NIX_STATE_DIR', purposes],
      ['NIX_SSL_CERT_FILE', purposes],
      ['https_proxy', purposes],
      ['NO_PROXY', purposes],
      ['SSH_AUTH_SOCK', ['fetch', 'realise']],
      ['XDG_RUNTIME_DIR', ['fetch', 'realise']],
      ['NIX_SSHOPTS', ['fetch', 'realise']],
      ['GIT_ASKPASS', ['fetch']],
      ['GIT_CONFIG_KEY_0', ['fetch']],
      ['AWS_SECRET_ACCESS_KEY', ['realise']],
      ['AWS_PROFILE', ['realise']],
      ['EXTRA', purposes],
      ['AWS_REGION', []],
      ['NIX_TIMEOUT', []],
      ['NIX_POPULARITY_URL', []],
      ['GIT_DIR', []],
      ['NIXPKGS_ALLOW_UNFREE', []],
      ['NODE_OPTIONS', []],
      ['GITHUB_TOKEN', []],
      ['LD_PRELOAD', []],
    ]
    for (const [name, expected] of table) {
      const given = { ...options, pass: ['EXTRA', 'AWS_REGION'] }
      const passed = purposes.filter(
        (purpose) => environmentFor(purpose, { [name]: 'x' }, given)[name] === 'x',
      )
      assert.deepEqual(passed, expected, name)
    }
  })

  it('names a user, because Nix does not start for a user id that has no name', () => {
    for (const purpose of purposes) {
      assert.equal(environmentFor(purpose, {}, options)['USER'], 'nixery')
      assert.equal(environmentFor(purpose, { USER: 'alice' }, options)['USER'], 'alice')
    }
  })

  it('sets a separate home for evaluations, and the operator’s for other programs', () => {
    const from = { HOME: '/root', XDG_CONFIG_HOME: '/root/c', NIX_USER_CONF_FILES: '/root/nix.conf' }
    const evaluation = environmentFor('evaluate', from, options)
    assert.doesNotMatch(JSON.stringify(evaluation), /root/)
    assert.equal(evaluation['HOME'], '/empty')
    for (const purpose of ['fetch', 'realise'] as const) {
      const { HOME, XDG_CONFIG_HOME, NIX_USER_CONF_FILES } = environmentFor(purpose, from, options)
      assert.deepEqual({ HOME, XDG_CONFIG_HOME, NIX_USER_CONF_FILES }, from)
    }
  })

  it('puts settings before the operator’s, and passes the operator’s secrets only where they are needed', () => {
    const NIX_CONFIG = 'cores = 1\naccess-tokens = github.com=ghp_x'
    const configurationOf = (purpose: Purpose) =>
      environmentFor(purpose, { NIX_CONFIG }, options, ['cores = 2'])['NIX_CONFIG']
    assert.equal(configurationOf('evaluate'), 'cores = 2\ncores = 1')
    assert.equal(configurationOf('fetch'), `cores = 2\n${NIX_CONFIG}`)
    assert.equal(configurationOf('realise'), `cores = 2\n${NIX_CONFIG}`)
  })

  it('prevents prompts of ssh and git', () => {
    const of = (from: Record<string, string>) => environmentFor('fetch', from, options)
    assert.equal(of({})['GIT_TERMINAL_PROMPT'], '0')
    assert.equal(of({})['GIT_SSH_COMMAND'], 'ssh -oBatchMode=yes')
    assert.equal(of({ GIT_SSH_COMMAND: 'ssh -v' })['GIT_SSH_COMMAND'], 'ssh -v')
    assert.equal(of({ GIT_SSH: '/bin/ssh' })['GIT_SSH_COMMAND'], undefined)
  })
})

describe('withoutSecrets', () => {
  const table: [line: string, kept: boolean][] = [
    ['cores = 1', true],
    ['substituters = https://cache.example.org', true],
    ['builders = ssh://builder@host x86_64-linux', true],
    ['trusted-public-keys = cache.example.org-1:AAAA=', true],
    ['access-tokens = github.com=ghp_x', false],
    ['  access-tokens=github.com=ghp_x', false],
    ['extra-access-tokens = github.com=ghp_x', false],
    ['netrc-file = /root/.netrc', false],
    ['secret-key-files = /root/key', false],
    ['substituters = https://user:pass@cache.example.org', false],
    ['substituters = https://token@cache.example.org', false],
    ['substituters = https://cache.example.org?access_token=x', false],
    ['include /root/secret.conf', false],
    ['!include secret.conf', false],
    ['# ghp_x', false],
  ]
  for (const [line, kept] of table) {
    it(`${kept ? 'keeps' : 'drops'} ${line.trim()}`, () => {
      assert.equal(withoutSecrets(`a = b\n${line}\nc = d`), kept ? `a = b\n${line}\nc = d` : 'a = b\nc = d')
    })
  }
})
