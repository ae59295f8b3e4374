import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseImageName } from '../image/name.ts'
import { anonymous, type Identity } from './identity.ts'
import type { Action, Subject } from './may.ts'
import { createDecide, createMay, isInScope, type Rule } from './policy.ts'
import { parseWho } from './who.ts'

const identity = (name: string, more: Partial<Identity> = {}): Identity => ({
  ...anonymous,
  name,
  how: 'password',
  ...more,
})
const rule = (who: string, may: readonly Action[], more: Partial<Rule> = {}): Rule => {
  const read = parseWho(who)
  assert.ok(read, who)
  return { line: 1, who: [read], may, packages: ['*'], recipes: ['*'], sets: ['*'], deny: [], ...more }
}
const image = (name: string): Subject => ({ imageRequest: parseImageName(name) })
const alice = identity('alice')

describe('rules about images', () => {
  const only = (...packages: readonly string[]): Rule[] => [
    rule('everyone', ['pull'], { packages, recipes: [] }),
  ]
  const denied = (...deny: readonly string[]): Rule[] => [rule('everyone', ['pull'], { deny })]
  const rows: [name: string, rules: readonly Rule[], allowed: boolean][] = [
    ['git', only('git'), true],
    ['git', [], false],
    // Every package needs a rule, in any order and spelling.
    ['git/htop', only('git'), false],
    ['git/htop', only('git', 'htop'), true],
    ['htop/git', only('git', 'htop'), true],
    ['git/htop', [...only('git'), ...only('htop')], true],
    ['Git', only('git'), true],
    ['python3packages.requests', only('python3Packages.*'), true],
    ['_7zz', only('7zz'), true],
    ['gtk__plus__3', only('gtk*'), true],
    ['gtk__plus__3', only('gtk+3'), false], // it is not known here which of the two names is meant
    ['arm64/git', only('git'), true],
    // A package includes its outputs, but not what is below it.
    ['git.doc', only('git'), true],
    ['python3.pkgs.requests', only('python3'), false],
    ['python3Packages.requests', only('python3Packages'), false],
    // A version belongs to the same package.
    ['git--2.39', only('git'), true],
    ['git--2.39', only('htop'), false],
    ['secret--1', denied('secret'), false],
    // The packages of every image need no rule.
    ['git/cacert', only('git'), true],
    ['git/iana-etc', only('git'), true],
    // Recipes are separate subjects, and their packages need no rule.
    ['shell/git', only('git'), false],
    ['shell/git', [rule('everyone', ['pull'], { packages: ['git'], recipes: ['shell'] })], true],
    ['ci', [rule('everyone', ['pull'], { packages: [], recipes: ['c*'] })], true],
    ['recipe/ci/git', [rule('everyone', ['pull'], { packages: ['git'], recipes: ['ci'] })], true],
    ['bashInteractive', [rule('everyone', ['pull'], { packages: ['git'], recipes: ['shell'] })], false],
    // A denial overrides every rule, also under other likely names.
    ['secret-x', denied('secret-*'), false],
    ['git/secret-x', denied('secret-*'), false],
    ['git', denied('secret-*'), true],
    ['SECRET-X', denied('secret-*'), false],
    ['secret.out', denied('secret'), false],
    ['secret.a.b', denied('secret'), false],
    ['pkgs.secret', denied('secret'), false],
    ['pkgsStatic.pkgs.secret', denied('secret'), false],
    ['python3Packages.git', denied('git'), true],
    ['sec__u0072__et', denied('secret'), false],
    ['shell', denied('shell'), false],
    ['shell/git', denied('nano'), false], // which is in `shell`
    ['ci', denied('git'), false],
    ['git', [...denied('git'), rule('user:alice', ['pull'])], false],
    ['git', [rule('user:bob', [], { deny: ['git'] }), rule('user:alice', ['pull'])], true],
  ]
  for (const [name, rules, allowed] of rows) {
    it(`${allowed ? 'allow' : 'refuse'} ${name} by ${JSON.stringify(rules.map(({ packages, recipes, deny }) => ({ packages, recipes, deny })))}`, () => {
      const may = createMay({ rules })
      const subject = image(name)
      assert.equal(may(alice, 'pull', subject), allowed)
      assert.equal(may(alice, 'pull', subject), allowed) // from memory
      assert.equal(may(alice, 'build', subject), false)
    })
  }

  it('may apply to one package set', () => {
    const subject = { imageRequest: parseImageName('old/git', 'latest', { sets: new Set(['old']) }) }
    assert.equal(createMay({ rules: [rule('everyone', ['pull'])] })(alice, 'pull', subject), true)
    const other = createMay({ rules: [rule('everyone', ['pull'], { sets: ['new'] })] })
    assert.equal(other(alice, 'pull', subject), false)
  })

  it('report which of them decided', () => {
    const decide = createDecide({
      rules: [
        rule('everyone', ['pull'], { packages: ['git'] }),
        rule('user:alice', ['pull'], { packages: ['htop'], deny: ['vim'] }),
      ],
    })
    const { rules, allowed } = decide(alice, 'pull', image('git/htop'))
    assert.deepEqual({ rules, allowed }, { rules: [0, 1], allowed: true })
    assert.deepEqual(decide(alice, 'pull', image('git/vim')), {
      allowed: false,
      rules: [1],
      about: 'vim',
      reason: 'denied',
    })
    assert.deepEqual(decide(anonymous, 'pull', image('htop')), {
      allowed: false,
      rules: [],
      about: 'htop',
      reason: 'no rule',
    })
  })
})

describe('rules about the server', () => {
  it('allow all authenticated clients to check their credentials, and everyone to read public files', () => {
    const may = createMay({ rules: [] })
    assert.equal(may(alice, 'pull', 'server'), true)
    assert.equal(may(anonymous, 'pull', 'server'), false)
    assert.equal(may(anonymous, 'pull', 'public'), true)
    assert.equal(may(alice, 'list', 'server'), false)
  })

  it('need to allow the action', () => {
    const may = createMay({ rules: [rule('user:alice', ['list', 'admin'], { packages: ['git'] })] })
    assert.equal(may(alice, 'list', 'server'), true)
    assert.equal(may(alice, 'admin', 'server'), true)
    assert.equal(may(alice, 'logs', { build: 'x' }), false)
    assert.equal(may(anonymous, 'admin', 'server'), false)
  })
})

describe('the clients of a rule', () => {
  const ci = identity('repo:org/x', {
    how: 'oidc',
    issuer: 'gha',
    groups: ['dev'],
    claims: { repository: 'org/x', ref: 'refs/heads/main', run: 7, teams: ['a', 'b'], nested: { a: 1 } },
  })
  const rows: [who: string, identity: Identity, isFor: boolean][] = [
    ['everyone', anonymous, true],
    ['everyone', alice, true],
    ['anonymous', anonymous, true],
    ['anonymous', alice, false],
    ['user:alice', alice, true],
    ['user:alice', identity('alicia'), false],
    ['user:al*', identity('alicia'), true],
    ['user:*', alice, true],
    ['user:*', anonymous, false],
    // An issuer could give its tokens the name of any user.
    ['user:alice', identity('alice', { how: 'oidc', issuer: 'gha' }), false],
    ['group:dev', identity('alice', { groups: ['dev'] }), true],
    ['group:dev', alice, false],
    ['issuer:gha', ci, true],
    ['issuer:gha', alice, false],
    ['issuer:gitlab', ci, false],
    ['issuer:gha repository=org/*', ci, true],
    ['issuer:gha repository=org/x ref=refs/heads/main', ci, true],
    ['issuer:gha repository=org/x ref=refs/tags/*', ci, false],
    ['issuer:gha repository=org', ci, false],
    ['issuer:gha run=7', ci, true],
    ['issuer:gha teams=b', ci, true],
    ['issuer:gha nested=*', ci, false],
    ['issuer:gha missing=*', ci, false],
    ['issuer:gha constructor=*', ci, false],
    ['issuer:gha repository=o.g/x', ci, false],
  ]
  for (const [who, someone, isFor] of rows) {
    it(`${who} ${isFor ? 'is' : 'is not'} ${someone.name || 'anonymous'}`, () => {
      assert.equal(createMay({ rules: [rule(who, ['list'])] })(someone, 'list', 'server'), isFor)
    })
  }

  it('accepts only these forms', () => {
    for (const text of [
      '',
      'alice',
      'user:',
      'user:a b',
      'group:',
      'issuer:',
      'issuer:a b',
      'issuer:a =b',
      'nobody',
    ]) {
      assert.equal(parseWho(text), undefined, text)
    }
  })
})

describe('a token for some repositories', () => {
  const narrow = new Set(['shell/git'])
  it('is valid for these in any spelling, and for checking the credentials', () => {
    assert.equal(isInScope(narrow, image('shell/git')), true)
    assert.equal(isInScope(narrow, image('git')), false)
    assert.equal(isInScope(narrow, 'server'), true)
    assert.equal(isInScope(narrow, { build: 'x' }), false)
    assert.equal(isInScope(narrow, 'public'), true)
  })
})

describe('a rule that denies a package', () => {
  const decide = (contents: ReadonlyMap<string, readonly string[]> | undefined, deny: readonly string[]) =>
    createMay({ rules: [rule('everyone', ['pull'], { deny })] }, () => contents)(
      alice,
      'pull',
      image('recipe/web/git'),
    )
  it("denies the operator's recipes that contain it, and those with unknown contents", () => {
    assert.equal(decide(new Map([['web', ['nginx', 'secret--2']]]), ['secret']), false)
    assert.equal(decide(new Map([['web', ['nginx']]]), ['secret']), true)
    assert.equal(decide(undefined, ['secret']), false)
    assert.equal(decide(undefined, []), true)
  })
})
