import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { redact } from './redact.ts'

describe('what is shown to anyone', () => {
  const hidden: [line: string, shown: string][] = [
    ['from https://user:hunter2@example.org/x', 'from https://…@example.org/x'],
    ['from git+https://hunter2@example.org', 'from git+https://…@example.org'],
    ['https://user:hun/ter2@example.org', 'https://…@example.org'],
    ['https://us\u200ber:hunter2\u001b[0m@example.org', 'https://…@example.org'],
    ['Authorization: Bearer hunter2 hunter2', 'Authorization: …'],
    ['authori\u200bzation: Basic hunter2', 'authorization: …'],
    ['access-tokens = github.com=hunter2 gitlab.com=PAT:hunter2', 'access-tokens = …'],
    ['export GITHUB_TOKEN=hunter2 X=1', 'export GITHUB_TOKEN=… X=1'],
    ['{"password": "hunter2 hunter2"}', '{"password": …}'],
    ['machine a login b password hunter2', 'machine a login b password …'],
    ['curl --api-key hunter2 -v', 'curl --api-key … -v'],
    ['GET /x?X-Amz-Signature=hunter2&a=1', 'GET /x?X-Amz-Signature=…&a=1'],
    [`ghp_${'hunter2'.repeat(5)}`, '…'],
    [
      '-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nx',
      '… (a private key)\n…\n…\nx',
    ],
    ['-----BEGIN PRIVATE KEY-----\nhunter2\nerror: and on', '… (a private key)\n…\nerror: and on'],
  ]
  for (const [line, shown] of hidden) {
    it(`has no secret of: ${JSON.stringify(line)}`, () => assert.equal(redact(line), shown))
  }

  const plain = [
    "copying path '/nix/store/abc-libsecret-0.21' from 'https://cache.nixos.org'...",
    'http://localhost:5000/@scope/package',
    'error: syntax error, unexpected end of file at 1:2',
    "warning: unknown setting 'access-tokens'",
    'a <b>word</b>\twith tabs',
  ]
  for (const line of plain) it(`is the line itself: ${line}`, () => assert.equal(redact(line), line))

  it('is found in time that a hostile line cannot stretch', () => {
    const parts = [
      '://',
      '://a:',
      'token',
      'token=',
      'eyJ-',
      '-',
      '--token',
      ' ',
      'login a ',
      '\u001b[',
      'bearer ',
      '"',
    ]
    const started = performance.now()
    for (const part of parts) redact(part.repeat(500_000 / part.length))
    assert.ok(performance.now() - started < 2_000)
  })
})
