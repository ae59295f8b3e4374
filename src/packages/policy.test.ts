import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { nameFilter, refusalOf } from './policy.ts'

type Rows = [patterns: string[], name: string, matches: boolean][]

describe('nameFilter', () => {
  const allowed: Rows = [
    [[], 'git', true],
    [['git'], 'git', true],
    [['git'], 'gitMinimal', false],
    [['git*'], 'gitMinimal', true],
    [['python3Packages.*'], 'python3Packages.requests', true],
    [['python3Packages.*'], 'python3', false],
    [['PYTHON3packages.*'], 'python3Packages.requests', true],
    [['alias'], 'alias.secret', false],
    [['7zz'], '_7zz', true],
    [['a.b'], 'axb', false],
  ]
  for (const [patterns, name, allows] of allowed) {
    it(`${allows ? 'allows' : 'does not allow'} ${name} with [${patterns.join()}]`, () => {
      assert.equal(nameFilter(patterns, []).allows(name), allows)
    })
  }

  const denied: Rows = [
    [[], 'git', false],
    [['git'], 'git', true],
    [['git'], 'GIT', true],
    [['git'], 'git.out', true],
    [['git'], 'git.dev.out', true],
    [['git'], 'gitMinimal', false],
    [['git'], 'alias.git', false],
    [['nested'], 'nested.tool', true],
    [['nested.*'], 'nested.tool.out', true],
    [['*.secret'], 'nested.secret.out', true],
    [['_7zz'], '7zz', true],
    [['7zz'], '_7zz.out', true],
    [['a.b'], 'axb', false],
    [['g(it'], 'git', false],
  ]
  for (const [patterns, name, denies] of denied) {
    it(`${denies ? 'denies' : 'does not deny'} ${name} with [${patterns.join()}]`, () => {
      assert.equal(nameFilter([], patterns).denies(name), denies)
    })
  }

  const limits: [allow: string[], deny: string[], name: string, limits: number[] | undefined][] = [
    [[], [], 'a.b.c', undefined],
    [[], ['x'], 'a.b.c', undefined],
    [[], ['a.b'], 'a.b.c', [1, 1, 1]],
    [[], ['b'], 'a.b.c', [3, 1, 3]],
    [[], ['c'], 'pkgs.pkgs.c', [3, 3, 2]],
    [['git'], [], 'git.out', undefined],
    [['git'], [], 'pkgs.git', [0, 0]],
    [['git'], [], 'htop', [0]],
    // So that misspelled names in a set can be reported.
    [['py.requests'], [], 'py.request', [1, 1]],
    [['py.*'], [], 'py.request', undefined],
    [['*.request'], [], 'a.b.c', [2, 2, 2]],
    [['a.b', 'a.c'], ['a.b'], 'a.b', [1, 1]],
    // A name that spells another.
    [[], ['gtk+3'], 'gtk__plus__3', [0]],
    [[], ['gtk+3'], 'gtk__u002b__3', [0]],
    [[], ['gtk__plus__3'], 'gtk__u002B__3', [0]],
    [[], ['*+*'], 'a.gtk__plus__3.out', [1, 1, 1]],
    [[], ['gtk+3'], 'gtk__plus__4', undefined],
    [[], ['gtk__plus__3'], 'gtk__plus__3', [0]],
    [['gtk+3'], [], 'gtk__plus__3', undefined],
    [['gtk__plus__3'], [], 'gtk__plus__3', undefined],
    [['gtk+3'], [], 'gtk__plus__4', [0]],
    [[], ['python3.11'], 'python3__dot__11', [0]],
  ]
  for (const [allow, deny, name, expected] of limits) {
    it(`limits ${name} with allow [${allow.join()}] and deny [${deny.join()}]`, () => {
      assert.deepEqual(nameFilter(allow, deny).limits(name), expected)
    })
  }

  it('permits what is allowed and not denied, with or without an output', () => {
    const filter = nameFilter(['py.*', 'git', 'secret'], ['secret', 'py.old'])
    const names = ['py.requests', 'git', 'git.out', 'py', 'htop', 'secret', 'py.old']
    assert.deepEqual(
      names.filter((name) => filter.permits(name)),
      ['py.requests', 'git', 'git.out'],
    )
  })

  it('prevents evaluation of a refused name, however it is spelled', () => {
    const part = fc.stringMatching(/^[a-c][a-cA-C]{0,1}$|^_?7a?$|^a__plus(__b)?$/)
    const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'))
    const pattern = fc.oneof(
      name,
      name.map((text) => `${text}*`),
      name.map((text) => `*${text}`),
    )
    const patterns = fc.array(pattern, { maxLength: 3 })
    fc.assert(
      fc.property(patterns, patterns, name, (allow, deny, requested) => {
        const filter = nameFilter(allow, deny)
        const length = requested.split('.').length
        const found = filter.limits(requested)
        assert.deepEqual(filter.limits(requested.toUpperCase()), found)
        assert.deepEqual(
          nameFilter(
            allow.map((text) => text.toUpperCase()),
            deny,
          ).limits(requested),
          found,
        )
        if (filter.denies(requested) || !filter.permits(requested)) assert.ok((found?.[0] ?? length) < length)
        else assert.equal(found?.[0] ?? length, length)
        if (filter.allows(requested) && !filter.denies(requested)) assert.ok(filter.permits(requested))
        for (const [index, limit] of (found ?? []).entries()) {
          const rest = requested.split('.').slice(index).join('.')
          if (filter.denies(rest)) assert.ok(limit < length, rest)
        }
        if (filter.inputs === undefined) assert.equal(found, undefined)
      }),
    )
  })
})

describe('refusalOf', () => {
  // As nixpkgs has it since 26.05.
  const problems = "error: Refusing to evaluate package 'a-1' in x:1 because it has problems:"
  const remedy =
    'See also https://nixos.org\nTo allow evaluation regardless, use:\n- NixOS: nixpkgs.config = <below code>;'
  const rows: [message: string, refusal: RegExp | undefined][] = [
    ['error: Package ‘a-1’ in x:1 has an unfree license (‘unfree’), refusing to evaluate.', /unfree/],
    ['error: Package ‘a-1’ in x:1 is marked as broken, refusing to evaluate.', /broken/],
    [`${problems}\n- broken: This package is broken.\n${remedy}`, /^is marked as broken$/],
    [
      `${problems}\n- removal: a-1 will be removed.\n- broken: This package is broken.\n${remedy}`,
      /^is marked as broken$/,
    ],
    [
      `${problems}\n- old (kind "deprecated"): Use b instead.\n${remedy}`,
      /^is refused by the package set: old \(kind "deprecated"\): Use b instead\.$/,
    ],
    ['error: Package ‘a-1’ in x:1 is marked as insecure, refusing to evaluate.', /insecure/],
    [
      'error: Package ‘a-1’ in x:1 is not available on the requested hostPlatform:',
      /^does not support arm64$/,
    ],
    ['error: Unsupported system: aarch64-linux', /^does not support arm64$/],
    ["error: attribute 'aarch64-linux' missing", /^does not support arm64$/],
    ["error: attribute 'aarch64' missing", undefined],
    ['error: undefined variable', undefined],
  ]
  for (const [message, refusal] of rows) {
    it(`reads ${message.slice(0, 60)}`, () => {
      const found = refusalOf(message, 'arm64')
      if (refusal) assert.match(found ?? '', refusal)
      else assert.equal(found, undefined)
    })
  }
})
