import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createRedactor } from './redact.ts'

const { text: redact } = createRedactor()
const signed = 'A'.repeat(85) // with one more character and `==`, the base64 of 64 bytes

/** Forms of secrets, all containing `hunter2`, and the expected output. */
const hiddenForms: readonly (readonly [line: string, shown: string])[] = [
  ['from https://user:hunter2@example.org/x', 'from https://…@example.org/x'],
  ['from git+https://hunter2@example.org', 'from git+https://…@example.org'],
  ['https://user:hun/ter2@example.org', 'https://…@example.org'],
  ['https://us\u200ber:hunter2\u001b[0m@example.org', 'https://…@example.org'],
  ['https://example.org/x?private_token=hunter2&a=1', 'https://example.org/x?private_token=…&a=1'],
  ['GET /x?X-Amz-Signature=hunter2&a=1', 'GET /x?X-Amz-Signature=…&a=1'],
  ['https://x.blob.core.windows.net/c?sv=1&sig=hunter2%3D', 'https://x.blob.core.windows.net/c?sv=1&sig=…'],
  ['https://maps.example.org/?key=hunter2', 'https://maps.example.org/?key=…'],
  ['Authorization: Bearer hunter2 hunter2', 'Authorization: …'],
  ['authori\u200bzation: Basic hunter2', 'authorization: …'],
  ['Sent: Bearer hunter2hunter2', 'Sent: Bearer …'],
  [`Sent: Basic ${btoa('user:hunter2')}`, 'Sent: Basic …'],
  ['Set-Cookie: session=hunter2; Path=/', 'Set-Cookie: …'],
  ['PRIVATE-TOKEN: hunter2', 'PRIVATE-TOKEN: …'],
  ['access-tokens = github.com=hunter2 gitlab.com=PAT:hunter2', 'access-tokens = …'],
  ['export GITHUB_TOKEN=hunter2 X=1', 'export GITHUB_TOKEN=… X=1'],
  ['GITHUB_\u001b[31mTO\u001b[0mKEN=hunter2', 'GITHUB_TOKEN=…'],
  ['{"password": "hunter2 hunter2"}', '{"password": …}'],
  ['password: hunter2', 'password: …'],
  ['Secret: "hunter2"', 'Secret: …'],
  ['AWS_SECRET_ACCESS_KEY=hunter2', 'AWS_SECRET_ACCESS_KEY=…'],
  ['DB_PASS: hunter2', 'DB_PASS: …'],
  ['DB_PASS=hunter2', 'DB_PASS=…'],
  ['Server=db;Uid=me;Pwd=hunter2;', 'Server=db;Uid=me;Pwd=…;'],
  ['AccountName=a;AccountKey=hunter2==;EndpointSuffix=x', 'AccountName=a;AccountKey=…;EndpointSuffix=x'],
  ['machine a login b password hunter2', 'machine a login b password …'],
  ['  password hunter2', '  password …'],
  ['  password hunter2 # of the build machine', '  password … # of the build machine'],
  ['password hunter2 account x', 'password … account x'],
  [JSON.stringify({ say: '{"password":"hunter2","a":1}' }), '{"say":"{\\"password\\":…,\\"a\\":1}"}'],
  [
    JSON.stringify({ say: JSON.stringify({ say: '{"token": "1 \\\\ hunter2"}' }) }),
    String.raw`{"say":"{\"say\":\"{\\\"token\\\": …}\"}"}`,
  ],
  [JSON.stringify({ password: 'a"hunter2"b', a: 1 }), '{"password":…,"a":1}'],
  [
    JSON.stringify({ say: JSON.stringify({ password: 'a"hunter2"b' }) }),
    String.raw`{"say":"{\"password\":…}"}`,
  ],
  ['password=ab,hunter2', 'password=…'],
  ['mount -o password=a,hunter2,user=x', 'mount -o password=…,user=x'],
  ["  password = ''a ' hunter2'';", '  password = …;'],
  ['pass\u034fword=hunter2', 'password=…'],
  ['//registry.example.org/:_authToken=hunter2', '//registry.example.org/:_authToken=…'],
  ['_auth=aHVudGVyMg==hunter2', '_auth=…'],
  ['MY_AUTH=hunter2 REGISTRY_AUTH: hunter2', 'MY_AUTH=… REGISTRY_AUTH: …'],
  [`{"auths":{"x":{"auth":"${btoa('user:hunter2')}"}}}`, '{"auths":{"x":{"auth":…}}}'],
  ['curl --api-key hunter2 -v', 'curl --api-key … -v'],
  ['curl -u me:hunter2 https://example.org', 'curl -u … https://example.org'],
  ["curl --user 'me:hunter2 hunter2' https://a.b", 'curl --user … https://a.b'],
  ['curl -ume:hunter2', 'curl -u…'],
  ['sshpass -p hunter2 ssh x', 'sshpass -p … ssh x'],
  [`cache.example.org-1:${signed}Q==`, 'cache.example.org-1:…'],
  ...[
    'ghp_',
    'gho_',
    'github_pat_',
    'glpat-',
    'xoxb-',
    'npm_',
    'hf_',
    'dckr_pat_',
    'sk_live_',
    'sk-proj-',
    'AIza',
    'ya29.',
    'hvs.',
    'GOCSPX-',
  ].map((prefix) => [`is ${prefix}${'hunter2'.repeat(5)}.`, 'is ….'] as const),
  ['AKIAHUNTERHUNTER2222', '…'],
  ['nxk_0123456789abcdef_hunter2hunter2hunter2', '…'],
  ['eyJhunter2hunter2.eyJhunter2hunter2.hunter2', '…'],
]
const keys: readonly (readonly [text: string, shown: string])[] = [
  [
    '-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nx',
    '… (a private key)\n…\n…\nx',
  ],
  ['-----BEGIN PRIVATE KEY-----\nhunter2\nerror: and on', '… (a private key)\n…\nerror: and on'],
  [
    `-----BEGIN OPENSSH PRIVATE KEY-----\n  CC src/x.o\n${'hunter2'.repeat(9)}\nword`,
    '… (a private key)\n  CC src/x.o\n…\nword',
  ],
]

/** Output of builds with words, numbers and hashes that resemble secrets. */
const ordinary = [
  "copying path '/nix/store/0c0j8p6w4y1xkp6zs1r2j3n9q2x5v7aa-libsecret-0.21' from 'https://cache.nixos.org'...",
  "building '/nix/store/lm3f7nclrw3hk9h1c6wqfkg0fq5dxvni-passwd-tools-1.0.drv'...",
  'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
  'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=',
  'HEAD is now at 72efae6b1bcaab9f3909069c6d64cb90cbc7bd2c Look once',
  'https://github.com/NixOS/nixpkgs/archive/72efae6b1bcaab9f3909069c6d64cb90cbc7bd2c.tar.gz',
  'http://localhost:5000/@scope/package',
  'git@github.com:NixOS/nixpkgs.git',
  'error: syntax error, unexpected end of file at 1:2',
  'main.c:3:5: error: unexpected token: identifier',
  "bash: line 1: syntax error near unexpected token: ')'",
  "warning: unknown setting 'access-tokens'",
  'cat: /etc/passwd: No such file or directory',
  'Run-time dependency libsecret-1 found: YES 0.21.4',
  'libsecret-1: 0.21.4',
  'meson -Dlibsecret=disabled -Dpasswd=true -Dbasic=yes',
  'System.Xml, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089',
  'max_tokens=4096 n_tokens: 512',
  'PASS: tests/login.sh',
  '# PASS:  12',
  'PWD=/build/source OLDPWD=/build',
  'checking for signature: yes',
  'Basic functionality of basic authentication works',
  'docker run -u 1000:1000 image',
  'useradd -u 1000 user',
  'npm_config_cache=/build/npm npm_package_json=/build/package.json',
  '  NIXERY_AUTH: "basik" is not none, basic or token',
  'NIXERY_AUTH=basic NIXERY_INSECURE_AUTH=yes',
  'cc -DTOKEN_SIZE=4 -DSK_LIVE -c tokenizer.c -o tokenizer.o',
  'Installing hf_transfer-0.1.9-cp312-none-any.whl',
  'a <b>word</b>\twith tabs',
]

describe('public text', () => {
  for (const [line, shown] of [...hiddenForms, ...keys]) {
    it(`hides the secret in: ${JSON.stringify(line).slice(0, 80)}`, () => assert.equal(redact(line), shown))
  }
  for (const line of ordinary) it(`is unchanged: ${line}`, () => assert.equal(redact(line), line))

  it('hides secrets in JSON in log lines', () => {
    const { suspects } = createRedactor()
    for (const [line] of hiddenForms) assert.ok(suspects(JSON.stringify({ line })), line)
  })

  it('hides secrets in JSON in which a character that is removed divides a word', () => {
    const { suspects } = createRedactor()
    for (let code = 0; code < 0x3000; code += 1) {
      const line = `tok${String.fromCharCode(code)}en=abcdefgh`
      if (redact(line) === redact('token=abcdefgh')) assert.ok(suspects(JSON.stringify(line)), `${code}`)
    }
  })

  it('contains no part of a secret where a line is truncated', () => {
    const token = `ghp_${'hunter2'.repeat(5)}`
    for (const length of [1_000, 2_000, 4_000]) {
      for (let at = length - token.length - 3; at < length + 3; at += 1) {
        const shown = redact(`${'word '.repeat(at / 5).padEnd(at)}${token} and on`)
        assert.doesNotMatch(shown, /ghp_|hunt/, `${at}`)
        assert.ok(shown.length <= 1_000)
      }
    }
  })
})

describe('secret values', () => {
  const secrets = ['correct horse "battery"', 'a/b+c=d', 'a/b']
  const { text, suspects } = createRedactor(secrets)

  it('are hidden literally, in a URL, in JSON, and with escape sequences in them', () => {
    const lines = [
      ['say correct horse "battery" staple', 'say … staple'],
      ['https://x.org/?q=a%2Fb%2Bc%3Dd', 'https://x.org/?q=…'],
      [JSON.stringify({ q: secrets[0] }), '{"q":"…"}'],
      ['correct\u001b[1m horse \u001b[0m"battery"', '…'],
      ['a/b+c=d and a/b', '… and …'],
    ] as const
    for (const [line, shown] of lines) {
      assert.equal(text(line), shown)
      assert.ok(suspects(JSON.stringify(line)), line)
      assert.ok(suspects(JSON.stringify(line)), 'asked twice')
    }
  })

  it('are hidden at any position', () => {
    const word = fc.stringMatching(/^[A-Za-z0-9+/._~-]{8,40}$/)
    fc.assert(
      fc.property(word, fc.string(), fc.string(), (secret, before, after) => {
        const redactor = createRedactor([secret])
        assert.ok(!redactor.text(`${before} ${secret} ${after}`).includes(secret))
        assert.ok(redactor.suspects(JSON.stringify(`${before} ${secret} ${after}`)))
      }),
    )
  })
})

describe('redacting', () => {
  it('takes bounded time even for hostile lines', () => {
    const parts =
      '://|://a:|token|token=|eyJ-|-|--token|--token |login a |\u001b[|\u001b];a|bearer |basic |"|\'|pass|key|_auth|-u |-u a|/|/token|secret: |x:|sig=|?key=|gh|ghp_|SG.a|a.|token=\\\\"|token=\'\'|token="\\\\|token=a,|\\\\"'
    const { text } = createRedactor(['a'.repeat(30), `${'a'.repeat(29)}b`], { read: 32_000, shown: 32_000 })
    for (const part of [...parts.split('|'), 'a']) {
      const line = part.repeat(32_000 / part.length)
      const started = process.cpuUsage()
      text(line)
      const { user, system } = process.cpuUsage(started)
      assert.ok((user + system) / 1000 < 2_000, part)
    }
  })

  it('does not change redacted text again', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...hiddenForms.map(([line]) => line), ...ordinary)), (lines) => {
        const once = redact(lines.join('\n'))
        assert.equal(redact(once), once)
      }),
    )
  })
})
