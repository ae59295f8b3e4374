import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { createPublicTexts } from './public.ts'
import { createRedactor } from './redact.ts'

const redactor = createRedactor(['hunter2'])
const folders = ['/srv/nixery data', '/srv/sets/own', '/', '/tmp']
const texts = createPublicTexts({ redactor, folders, showTraces: false })
const open = createPublicTexts({ redactor, folders, showTraces: true })

const drv = '/nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-bad.drv'

// As Nix 2.8, 2.26 and 2.34 print failures.
const table: [what: string, code: ErrorCode, message: string, shown: string][] = [
  [
    'an error with its position',
    'PACKAGE_INVALID',
    `x: does not evaluate:
error: cannot add a string to an integer
at /elsewhere/default.nix:9:16:
     8|  a = 1;
     9|  password = "s3cr3t";
      |                ^`,
    'x: does not evaluate:\nerror: cannot add a string to an integer',
  ],
  [
    'a trace',
    'SOURCE_INVALID',
    `the package set does not evaluate:
… while evaluating attribute 'results'
  at /nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-source/default.nix:66:3:

    65|   names = 1;
      |   ^
(stack trace truncated; use '--show-trace' to show the full, detailed trace)
error: undefined variable 'b'`,
    "the package set does not evaluate:\nerror: undefined variable 'b'",
  ],
  [
    'a trace of an older Nix',
    'PACKAGE_INVALID',
    "while evaluating the attribute 'x' at /a/b.nix:1:2:\nerror: no",
    'error: no',
  ],
  [
    'a position in a line',
    'PACKAGE_INVALID',
    'error: undefined variable at /elsewhere/pkgs/a.nix:3:4',
    'error: undefined variable at …',
  ],
  [
    'a file that is missing',
    'PACKAGE_INVALID',
    "error: path '/elsewhere/my set/a' does not exist",
    "error: path '…' does not exist",
  ],
  [
    'a folder in a sentence',
    'STORE_UNAVAILABLE',
    "EACCES: permission denied, open '/elsewhere/blobs/x'",
    "EACCES: permission denied, open '…'",
  ],
  [
    'a source that is a file',
    'SOURCE_UNREACHABLE',
    "fatal: 'file:///elsewhere/x.git' and path:/a/b, git@a.b:/c/d",
    "fatal: 'file://…' and path:… git@a.b:…",
  ],
  [
    'a secret in an address',
    'SOURCE_UNREACHABLE',
    "unable to download 'https://a.b/c?private_token=hunter2&x=1'",
    "unable to download 'https://a.b/c?private_token=…&x=1'",
  ],
  [
    'an address as it is',
    'SOURCE_UNREACHABLE',
    "unable to download 'https://a.b/c/d.tar.gz': HTTP error 404",
    "unable to download 'https://a.b/c/d.tar.gz': HTTP error 404",
  ],
  [
    "a builder's message about its own files",
    'BUILD_FAILED',
    `builder for '${drv}' failed\n> /build/source/main.c:12:3: error: expected\n>    12 |   int x\n> /tmp/nix-build-bad.drv-0/x and /etc/passwd`,
    `builder for '${drv}' failed\n> /build/source/main.c:12:3: error: expected\n>    12 |   int x\n> /tmp/nix-build-bad.drv-0/x and /etc/passwd`,
  ],
  [
    "a builder's message about the server",
    'BUILD_FAILED',
    '/srv/sets/own/a.c /srv/sets/own-not /root/.netrc (/home/me/x) /srv/nixery data/store/x hunter2',
    '… /srv/sets/own-not … (…) … …',
  ],
  [
    'a name with a slash',
    'PACKAGE_UNKNOWN',
    'Could not find Nix packages: [git/shell].',
    'Could not find Nix packages: [git/shell].',
  ],
]

describe('the public form of a failure', () => {
  for (const [what, code, message, shown] of table) {
    it(`has ${what}, without private details of the operator`, () => {
      assert.equal(texts.failure(new NixeryError(code, message)).message, shown)
    })
  }

  it('has everything except secrets if the operator allows it', () => {
    const [, , message = ''] = table[0] ?? []
    const publicFailure = open.failure(
      new NixeryError('PACKAGE_INVALID', `${message}\n/srv/sets/own hunter2`),
    )
    assert.equal(publicFailure.message, `${message}\n/srv/sets/own …`.replace('"s3cr3t"', '…'))
  })

  it('has machine-readable details, but never text from Nix', () => {
    const failure = (detail: unknown) =>
      open.failure(new NixeryError('PACKAGE_UNKNOWN', 'x', { detail: detail as never })).detail
    assert.deepEqual(failure({ missing: ['hello'], at: ['at /a/b.nix:1:2:', '/a/b', 'hunter2'] }), {
      missing: ['hello'],
      at: ['', '…', '…'],
    })
  })

  it('has no details of a bug, and a bounded message', () => {
    const bug = texts.failure(new TypeError('/srv/sets/own'))
    assert.deepEqual(
      { ...bug },
      { code: undefined, message: 'internal error', hint: undefined, detail: undefined },
    )
    const long = texts.failure(new NixeryError('BUILD_FAILED', 'line\n'.repeat(100_000)))
    assert.ok(long.message.length <= 20_000)
  })
})

describe('lines of a build', () => {
  it('are stripped of traces and server paths one by one', () => {
    const show = texts.lines()
    const lines = [
      'evaluating',
      '  at /a/x.nix:1:2:',
      '   1| secret',
      '   | ^',
      'CC /build/x.c',
      'in /srv/sets/own/x',
    ]
    assert.deepEqual(lines.map(show), [
      'evaluating',
      undefined,
      undefined,
      undefined,
      'CC /build/x.c',
      'in …',
    ])
  })

  it('take bounded time even for hostile lines', () => {
    const show = texts.lines()
    for (const part of [
      '/',
      '-/',
      '/a',
      '-/a',
      "'/",
      'file:/',
      '/home/',
      '/home/a',
      '/root',
      '/root/',
      ' /a.nix',
      'at a:1',
      '… ',
      '1|',
    ]) {
      const started = process.cpuUsage()
      show(part.repeat(4_000 / part.length))
      assert.ok(process.cpuUsage(started).user / 1000 < 500, part)
    }
  })
})
