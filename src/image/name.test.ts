import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import { formatImageName, maxPackages, parseImageName } from './name.ts'
import { amd64, arm64, type Platform } from './platform.ts'
import { anyString } from '../text/testing.ts'

describe('parseImageName', () => {
  type Expected = { packages: string[]; recipes?: string[]; words?: string[]; platform?: Platform }
  const rows: [string, Expected][] = [
    ['hello', { packages: ['hello'] }],
    ['hello/git/htop', { packages: ['git', 'hello', 'htop'] }],
    ['git/git', { packages: ['git'] }],
    ['shell', { packages: [], recipes: ['shell'] }],
    ['shell/htop', { packages: ['htop'], recipes: ['shell'] }],
    ['shell/arm64/hello', { packages: ['hello'], recipes: ['shell'], platform: arm64 }],
    ['arm64/shell/hello', { packages: ['hello'], recipes: ['shell'], platform: arm64 }],
    ['ci', { packages: [], words: ['ci'] }],
    ['ci/arm64/git', { packages: ['git'], words: ['ci'], platform: arm64 }],
    [
      'devcontainer/shell/arm64/ci',
      { packages: [], recipes: ['shell'], words: ['ci', 'devcontainer'], platform: arm64 },
    ],
    ['recipe/ci/git', { packages: ['git'], recipes: ['ci'] }],
    ['recipe/web/git', { packages: ['git'], recipes: ['web'] }],
    ['recipe/web', { packages: [], recipes: ['web'] }],
    ['arm64/recipe/web/ci', { packages: [], recipes: ['web'], words: ['ci'], platform: arm64 }],
    ['compat/recipe/shell/x', { packages: ['x'], recipes: ['shell'], words: ['compat'] }],
    ['git/ci/recipe', { packages: ['ci', 'git', 'recipe'] }],
    ['git/recipe/ci', { packages: ['ci', 'git', 'recipe'] }],
    ['Ci/git', { packages: ['Ci', 'git'] }],
    ['amd64/hello', { packages: ['hello'], platform: amd64 }],
    ['arm64', { packages: [], platform: arm64 }],
    ['hello/shell', { packages: ['hello', 'shell'] }],
    ['htop/arm64/x', { packages: ['arm64', 'htop', 'x'] }],
    ['python3Packages.requests/xorg.xev', { packages: ['python3Packages.requests', 'xorg.xev'] }],
    ['7zz/_0verkill/iana-etc', { packages: ['7zz', '_0verkill', 'iana-etc'] }],
    ['BashInteractive', { packages: ['BashInteractive'] }],
  ]
  for (const [name, expected] of rows) {
    it(`reads ${name}`, () => {
      assert.deepEqual(parseImageName(name, 'v1'), {
        packages: expected.packages,
        recipes: expected.recipes ?? [],
        words: expected.words ?? [],
        platform: expected.platform ?? amd64,
        platformNamed: expected.platform !== undefined,
        tag: 'v1',
      })
    })
  }

  const refused = [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    '..',
    'a/../b',
    'a..b',
    '.a',
    'a.',
    '-a',
    'a.-b',
    'a b',
    'a|b',
  ]
  refused.push('a+b', 'a:b', 'a@b', 'ä', 'a\n', 'a\0', '$(x)', '"', 'arm64/amd64/a', 'a'.repeat(256))
  refused.push('shell/shell/a', 'arm64/shell/arm64', 'ci/ci/git', 'ci/recipe/ci', 'recipe/shell/shell')
  refused.push('recipe', 'recipe/arm64', 'recipe/arm64/ci', 'ci/recipe')
  refused.push(Array.from({ length: maxPackages + 1 }, (_, i) => `p${i}`).join('/'))
  for (const name of refused) {
    it(`refuses ${JSON.stringify(name.slice(0, 40))}`, () => {
      assert.throws(
        () => parseImageName(name),
        (error) => hasCode(error, 'NAME_INVALID'),
      )
    })
  }

  it('reports which word appears twice, and what may follow `recipe`', () => {
    assert.throws(() => parseImageName('shell/arm64/shell/git'), {
      message: '`shell` occurs twice at the beginning of this name: write it once',
    })
    assert.throws(() => parseImageName('recipe/arm64'), /`recipe\/` is followed by a recipe/)
  })

  it('accepts the longest name and the most packages', () => {
    assert.equal(parseImageName('a'.repeat(255)).packages.length, 1)
    const most = Array.from({ length: maxPackages }, (_, i) => `p${i}`)
    assert.equal(parseImageName(['shell', ...most].join('/')).packages.length, maxPackages)
  })

  for (const tag of ['', '.a', '-a', 'a'.repeat(129), 'a/b', 'a b', 'ä', '--upload-pack=x']) {
    it(`refuses the tag ${JSON.stringify(tag.slice(0, 20))}`, () => {
      assert.throws(
        () => parseImageName('hello', tag),
        (error) => hasCode(error, 'TAG_INVALID'),
      )
    })
  }
})

const letter = fc.constantFrom('a', 'b', 'z', 'A', 'Z', '0', '9', '_')
const part = fc
  .tuple(letter, fc.string({ unit: fc.constantFrom('a', 'b', 'Z', '9', '_', '-'), maxLength: 4 }))
  .map((t) => t.join(''))
const attribute = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'))
const word = fc.constantFrom(
  'shell',
  'arm64',
  'ci',
  'recipe/ci',
  'compat',
  'recipe/devcontainer',
  'devcontainer',
)
const segment = fc.oneof(attribute, fc.constantFrom('git', 'shell', 'ci', 'recipe', 'amd64'))
/** Leading words in any order, each once; then packages, the first of which does not have the name of a word. */
const name = fc
  .tuple(
    fc.uniqueArray(word, { selector: (text) => text.replace('recipe/', ''), maxLength: 5 }),
    attribute.filter((text) => !['shell', 'ci'].includes(text)),
    fc.array(segment, { maxLength: 8 }),
  )
  .map(([words, first, segments]) => [...words, first, ...segments])
  .map((segments) => segments.join('/'))
  .filter((text) => text.length <= 255)

describe('image names with package sets', () => {
  const vocabulary = { sets: new Set(['stable', 'unstable', 'tools']) }
  const parse = (text: string) => parseImageName(text, 'v1', vocabulary)

  for (const [text, set, packages, rest] of [
    ['unstable/git', 'unstable', ['git'], {}],
    ['unstable', 'unstable', [], {}],
    ['shell/unstable/arm64/git', 'unstable', ['git'], { recipes: ['shell'], platform: arm64 }],
    ['arm64/tools/ci/git', 'tools', ['git'], { words: ['ci'], platform: arm64 }],
    ['git/unstable', undefined, ['git', 'unstable'], { behind: ['unstable'] }],
    ['tools/zip/stable', 'tools', ['stable', 'zip'], { behind: ['stable'] }],
  ] as const) {
    it(`reads ${text}`, () => {
      const request = parse(text)
      const { recipes, words, platformNamed, tag, ...others } = request
      const { recipes: expectedRecipes = [], words: expectedWords = [] } = rest as Partial<typeof request>
      assert.deepEqual([recipes, words, tag], [expectedRecipes, expectedWords, 'v1'])
      assert.equal(platformNamed, 'platform' in rest)
      assert.deepEqual(others, {
        platform: amd64,
        packages,
        ...(set !== undefined && { set }),
        ...('platform' in rest && { platform: rest.platform }),
        ...('behind' in rest && { behind: rest.behind }),
      })
      assert.deepEqual(parse(formatImageName(request)), request)
    })
  }

  it('accept one set for the whole name, once', () => {
    assert.throws(() => parse('unstable/stable/git'), {
      message: /come from one package set, .*: this name has unstable and stable/,
    })
    assert.throws(() => parse('tools/shell/tools/git'), { message: /`tools` occurs twice/ })
  })

  it('are unchanged if there is no other set', () => {
    assert.deepEqual(parseImageName('unstable/git').packages, ['git', 'unstable'])
  })

  it('round-trip for any order of the words', () => {
    const words = fc.uniqueArray(fc.constantFrom('shell', 'arm64', 'ci', 'tools'))
    const others = fc.array(fc.oneof(attribute, fc.constantFrom('stable', 'tools')), { maxLength: 5 })
    fc.assert(
      fc.property(words, others, (leading, packages) => {
        const texts = [leading, [...leading].reverse()].map((each) => [...each, 'git', ...packages].join('/'))
        const [request, again] = texts.map(parse)
        assert.deepEqual(request, again)
        if (request) assert.deepEqual(parse(formatImageName(request)), request)
      }),
    )
  })
})

describe('image names', () => {
  it('round-trip through their canonical form', () => {
    fc.assert(
      fc.property(name, (text) => {
        const request = parseImageName(text)
        assert.deepEqual(parseImageName(formatImageName(request)), request)
      }),
    )
  })

  it('do not depend on the order of leading words', () => {
    const words = fc.uniqueArray(word, { selector: (text) => text.replace('recipe/', '') })
    fc.assert(
      fc.property(words, (given) => {
        const backwards = [...given].reverse()
        assert.deepEqual(
          parseImageName([...given, 'git'].join('/')),
          parseImageName([...backwards, 'git'].join('/')),
        )
      }),
    )
  })

  it('do not depend on the order of packages', () => {
    fc.assert(
      fc.property(
        fc.array(
          attribute.filter((a) => a !== 'shell'),
          { minLength: 1, maxLength: 8 },
        ),
        (packages) => {
          const backwards = [...packages].reverse()
          assert.deepEqual(parseImageName(packages.join('/')), parseImageName(backwards.join('/')))
        },
      ),
    )
  })

  it('are parsed or refused with a code for any input', () => {
    const anything = fc.oneof(anyString({ maxLength: 300 }), name)
    fc.assert(
      fc.property(anything, anything, (text, tag) => {
        try {
          parseImageName(text, tag)
        } catch (error) {
          assert.ok(hasCode(error, 'NAME_INVALID', 'TAG_INVALID'))
        }
      }),
      { numRuns: 1000 },
    )
  })
})
