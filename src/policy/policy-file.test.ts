import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parsePolicy } from './policy-file.ts'

const text = `
# Members build.
[[rule]]
who = ["user:alice", "issuer:gha repository=org/*"]
may = ["pull", "build"]
deny = ["secret-*"]

[[rule]]
who = ["everyone"]
may = ["pull"]
packages = ["git", "python3Packages.*"]

[[issuer]]
name = "gha"
url = "https://token.actions.githubusercontent.com"
audience = "registry.example"

[[quota]]
who = ["group:dev"]
builds = 20
bytes = "50GB"
`

describe('a policy', () => {
  it('contains rules, including their defaults', () => {
    const { rules, issuers, quotas } = parsePolicy(text)
    assert.deepEqual(rules, [
      {
        line: 3,
        who: [
          { kind: 'user', name: 'alice' },
          { kind: 'issuer', name: 'gha', claims: [['repository', 'org/*']] },
        ],
        may: ['pull', 'build'],
        packages: ['*'],
        recipes: ['*'],
        sets: ['*'],
        deny: ['secret-*'],
      },
      {
        line: 8,
        who: [{ kind: 'everyone' }],
        may: ['pull'],
        packages: ['git', 'python3Packages.*'],
        recipes: [],
        sets: ['*'],
        deny: [],
      },
    ])
    assert.deepEqual(issuers, [
      {
        name: 'gha',
        url: 'https://token.actions.githubusercontent.com',
        audience: ['registry.example'],
        algorithms: ['RS256', 'ES256', 'PS256', 'EdDSA'],
      },
    ])
    assert.deepEqual(quotas, [
      { who: [{ kind: 'group', name: 'dev' }], quota: { builds: 20, bytes: 50_000_000_000 } },
    ])
    assert.deepEqual(parsePolicy(''), { rules: [], issuers: [], quotas: [] })
  })

  const rows: [text: string, problem: RegExp][] = [
    ['[[rule]]\nwho = ["everyone"\nmay = ["pull"]\n', /^line \d, column \d+: /],
    ['[[rule]]\nwho = ["alice"]\n', /^line 2, rule 1, who 1: "alice" is not everyone, anonymous, user:NAME/],
    [`${text}\n[[rule]]\nwho = ["everyone"]\nmay = ["pull", "push"]\n`, /^line 25, rule 3, may 2: /],
    ['[[rule]]\nmay = ["pull"]\n', /^line 1, rule 1, who: /],
    ['[[rule]]\nwho = []\n', /^line 2, rule 1, who: /],
    ['[[rule]]\nwho = ["everyone"]\n\npakages = ["git"]\n', /^line 4, rule 1, pakages: /],
    ['[[rule]]\nwho = ["everyone"]\npackages = "git"\n', /^line 3, rule 1, packages: /],
    ['# x\n[[rules]]\nwho = ["everyone"]\n', /^line 2, rules: /],
    ['rule = 3\n', /^line 1, rule: /],
    [
      '[[rule]]\nwho = ["issuer:gha"]\n',
      /^line 2, rule 1, who 1: there is no \[\[issuer\]\] with the name gha/,
    ],
    ['[[issuer]]\nname = "a"\nurl = "https://a.example"\n', /^line 1, issuer 1, audience: /],
    ['[[issuer]]\nname = "a"\nurl = "a.example"\naudience = "x"\n', /^line 3, issuer 1, url: /],
    [
      `${text}[[issuer]]\nname = "gha"\nurl = "https://b.example"\naudience = "x"\n`,
      /^line 23, issuer 2, name: /,
    ],
    ['[[quota]]\nwho = ["everyone"]\nbytes = "many"\n', /^line 3, quota 1, bytes: is neither a number nor/],
    ['[[quota]]\nwho = ["everyone"]\nbuild = 3\n', /^line 3, quota 1, build: /],
  ]
  for (const [bad, problem] of rows) {
    it(`is rejected with line and field: ${JSON.stringify(bad.slice(-40))}`, () => {
      assert.throws(() => parsePolicy(bad), { message: problem })
    })
  }
})
