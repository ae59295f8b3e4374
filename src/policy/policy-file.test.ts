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
`

describe('a policy', () => {
  it('has rules, with what they leave out', () => {
    const { rules } = parsePolicy(text)
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
    assert.deepEqual(parsePolicy(''), { rules: [] })
  })

  const rows: [text: string, problem: RegExp][] = [
    ['[[rule]]\nwho = ["everyone"\nmay = ["pull"]\n', /^line \d, column \d+: /],
    ['[[rule]]\nwho = ["alice"]\n', /^line 2, rule 1, who 1: "alice" is not everyone, anonymous, user:NAME/],
    [`${text}\n[[rule]]\nwho = ["everyone"]\nmay = ["pull", "push"]\n`, /^line 15, rule 3, may 2: /],
    ['[[rule]]\nmay = ["pull"]\n', /^line 1, rule 1, who: /],
    ['[[rule]]\nwho = []\n', /^line 2, rule 1, who: /],
    ['[[rule]]\nwho = ["everyone"]\n\npakages = ["git"]\n', /^line 4, rule 1, pakages: /],
    ['[[rule]]\nwho = ["everyone"]\npackages = "git"\n', /^line 3, rule 1, packages: /],
    ['# x\n[[rules]]\nwho = ["everyone"]\n', /^line 2, rules: /],
    ['rule = 3\n', /^line 1, rule: /],
  ]
  for (const [bad, problem] of rows) {
    it(`is refused with line and field: ${JSON.stringify(bad.slice(-40))}`, () => {
      assert.throws(() => parsePolicy(bad), { message: problem })
    })
  }
})
