import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { secretsOf } from './secrets.ts'

const none = () => ''

describe('secretsOf', () => {
  const table: [what: string, environment: Record<string, string>, secrets: string[]][] = [
    ['nothing', { PATH: '/bin', HOME: '/root', NIXERY_TLS_KEY: '/etc/key.pem', PORT: '8080' }, []],
    [
      'the keys of a bucket',
      { S3_ACCESS_KEY: 'AKIDEXAMPLE', S3_SECRET_KEY: 'wJalrXUtn' },
      ['AKIDEXAMPLE', 'wJalrXUtn'],
    ],
    [
      'credentials for other services',
      { AWS_SECRET_ACCESS_KEY: 'wJalrXUtn', GITHUB_TOKEN: 'hunter2' },
      ['wJalrXUtn', 'hunter2'],
    ],
    ['no path, flag or short word', { MY_TOKEN: '/run/token', USE_TOKEN: 'enabled', A_SECRET: 'abc' }, []],
    [
      'credentials in URLs, encoded and decoded',
      {
        NIXERY_CHANNEL_URL: 'https://me:hunt%2Fer2@a.b/{channel}?private_token=hunter3',
        NIXERY_FLAKE: 'git+https://longusername@a.b/c?ref=release-24.05&dir=packages',
      },
      ['hunt%2Fer2', 'hunt/er2', 'hunter3', 'longusername'],
    ],
    ['no well-known git user', { NIXERY_PKGS_REPO: 'ssh://git@a.b/c' }, []],
    [
      'tokens of binary caches',
      { NIXERY_CACHE_TOKENS: 'a.b=hunter2, c.d:80=hunter3' },
      ['hunter2', 'hunter3'],
    ],
    [
      'tokens of Nix',
      { NIX_CONFIG: 'cores = 2\naccess-tokens = a.b=hunter2 c.d=PAT:hunter3\nsandbox = false' },
      ['hunter2', 'PAT:hunter3', 'hunter3'],
    ],
  ]
  for (const [what, environment, secrets] of table) {
    it(`finds ${what}`, () => assert.deepEqual(secretsOf(environment, none), secrets))
  }

  it('finds the key of a service account, line by line', () => {
    const file = JSON.stringify({
      type: 'service_account',
      private_key_id: 'abcdef0123',
      private_key: '-----BEGIN PRIVATE KEY-----\nhunter2hunter2\nhunter3=\n-----END PRIVATE KEY-----\n',
    })
    const found = (text: string) => secretsOf({ GOOGLE_APPLICATION_CREDENTIALS: '/key' }, () => text)
    assert.deepEqual(found(file), ['hunter2hunter2', 'hunter3=', 'abcdef0123'])
    for (const text of ['', 'null', '{"private_key":1}', 'not JSON']) assert.deepEqual(found(text), [])
    assert.deepEqual(secretsOf({ GOOGLE_APPLICATION_CREDENTIALS: '/nonexist' }), [])
  })
})
