import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseImageName } from '../image/name.ts'
import { keyOf, type Json } from '../image/canonical.ts'
import { builtIn, type Recipe } from '../image/recipes.ts'
import { specOf } from '../image/spec.ts'
import { withIncludes } from './include.ts'
import { normalise } from './normal.ts'
import { parseRecipe } from './parse.ts'

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/)
const value = fc.string({ maxLength: 8 }).map((text) => text.replaceAll('\0', ''))
const table = fc.dictionary(word, value, { maxKeys: 4 })
const place = fc.array(word, { minLength: 1, maxLength: 2 }).map((parts) => `/srv/${parts.join('-')}`)
const account = fc.record(
  { name: word, uid: fc.integer({ min: 1000, max: 60_000 }) },
  { requiredKeys: ['name', 'uid'] },
)
const files = fc.uniqueArray(
  fc.oneof(
    fc.record(
      { path: place, text: value, mode: fc.constantFrom('644', '0755') },
      { requiredKeys: ['path', 'text'] },
    ),
    fc.record({ path: place, link: fc.constant('/bin/sh') }),
    fc.record(
      { path: place, directory: fc.constant(true), uid: fc.nat(5) },
      { requiredKeys: ['path', 'directory'] },
    ),
  ),
  { selector: ({ path }) => path, maxLength: 4 },
)
/** An arbitrary recipe, as written by a user. */
const written = fc.record(
  {
    base: fc.constantFrom(
      `docker.io/debian:12@sha256:${'a'.repeat(64)}`,
      `r.example/a/b@sha256:${'b'.repeat(64)}`,
    ),
    packages: fc.array(fc.oneof(word, fc.tuple(word, word)), { maxLength: 5 }),
    entrypoint: fc.array(value, { maxLength: 3 }),
    cmd: fc.array(value, { maxLength: 3 }),
    workdir: place,
    user: fc.constantFrom('root', '1000', '1000:100', 'nobody'),
    env: table,
    labels: table,
    annotations: table,
    ports: fc.array(fc.integer({ min: 1, max: 65_535 }), { maxLength: 3 }),
    volumes: fc.array(place, { maxLength: 3 }),
    stopSignal: fc.constantFrom('SIGQUIT', 9),
    healthcheck: fc.record({
      command: fc.constantFrom('true', ['true', 'x']),
      interval: fc.integer({ min: 1, max: 9 }),
    }),
    accounts: fc
      .uniqueArray(account, { selector: ({ uid }) => uid, maxLength: 3 })
      .map((all) => [...new Map(all.map((one) => [one.name, one])).values()]),
    files,
    platforms: fc.constantFrom(['amd64'], ['arm64', 'amd64']),
    maxLayers: fc.integer({ min: 1, max: 120 }),
    nixDatabase: fc.boolean(),
  },
  { requiredKeys: [] },
)

function normal(document: object): Recipe {
  const parsed = parseRecipe('x', JSON.stringify(document), 'json')
  assert.ok(parsed.ok, JSON.stringify(parsed))
  return normalise('x', parsed.written)
}

const imageOf = (recipe: Recipe) => {
  const resolved = { revision: 'r', packages: [], recipe }
  return keyOf(
    'image',
    1,
    specOf(parseImageName('amd64'), resolved, { env: ['PATH=/bin'] }) as unknown as Json,
  )
}

/** The same recipe with the fields of every table in another order. */
function reversed(input: unknown): unknown {
  if (Array.isArray(input)) return input.map(reversed)
  if (typeof input !== 'object' || input === null) return input
  return Object.fromEntries(
    Object.entries(input)
      .reverse()
      .map(([key, each]) => [key, reversed(each)]),
  )
}

describe('the normal form of a recipe', () => {
  it('is its own normal form', () => {
    fc.assert(
      fc.property(written, (document) => {
        const once = normal(document)
        assert.deepEqual(normal(once), once)
      }),
    )
  })

  it('does not depend on the order of fields, packages, ports and volumes', () => {
    fc.assert(
      fc.property(written, (document) => {
        const lists = ['packages', 'ports', 'volumes', 'files', 'accounts'] as const
        const turned = Object.fromEntries(
          lists.flatMap((name) => (document[name] ? [[name, document[name].toReversed()]] : [])),
        )
        assert.equal(
          imageOf(normal(reversed({ ...document, ...turned }) as object)),
          imageOf(normal(document)),
        )
      }),
    )
  })

  it('is the same whether its parts are written in one recipe or included', async () => {
    await fc.assert(
      fc.asyncProperty(written, fc.integer({ min: 0, max: 17 }), async (document, at) => {
        const entries = Object.entries(document)
        // An entry point drops an earlier command, so keep the two together.
        const isFirst = ([field]: [string, unknown], index: number) =>
          index < at && field !== 'cmd' && field !== 'entrypoint'
        const base = Object.fromEntries(entries.filter(isFirst))
        const rest = Object.fromEntries(entries.filter((entry, index) => !isFirst(entry, index)))
        const own = async (name: string) => {
          const recipe = normal(name === 'base' ? base : rest)
          return { recipe, roots: [], include: name === 'base' ? [] : ['base'] }
        }
        const { recipe } = await withIncludes('web', own)
        assert.equal(imageOf(recipe), imageOf(normal(document)))
      }),
    )
  })

  it('contains the defaults of accounts and files', () => {
    const recipe = normal({
      accounts: [{ name: 'app', uid: 1000 }],
      files: [
        { path: '/a', text: 'x' },
        { path: '/b', directory: true },
        { path: '/c', link: '/a' },
      ],
      ports: [80],
    })
    assert.deepEqual(recipe, {
      packages: [],
      accounts: [{ name: 'app', uid: 1000, gid: 1000, home: '/home/app', shell: '/bin/sh', groups: [] }],
      files: [
        { path: '/a', text: 'x', mode: '0644', uid: 0, gid: 0 },
        { path: '/b', directory: true, mode: '0755', uid: 0, gid: 0 },
        { path: '/c', link: '/a' },
      ],
      ports: ['80/tcp'],
    })
  })
})

describe('includes', () => {
  const recipesOf =
    (documents: Readonly<Record<string, { include?: string[]; [field: string]: unknown }>>) =>
    async (name: string) => {
      const { include = [], ...document } = documents[name] ?? {}
      return { recipe: builtIn(name) ?? normal(document), roots: [], include }
    }
  const find = (documents: Parameters<typeof recipesOf>[0]) => withIncludes('web', recipesOf(documents))

  it('come before the recipe itself, each once', async () => {
    const { recipe } = await find({
      web: { include: ['a', 'b'], env: { X: 'web' } },
      a: { include: ['c'], env: { X: 'a', Y: 'a' }, cmd: ['a'] },
      b: { include: ['c'], env: { Y: 'b' } },
      c: { packages: ['git'], cmd: ['c'] },
    })
    assert.deepEqual(recipe, { packages: ['git'], cmd: ['a'], env: { X: 'web', Y: 'b' } })
  })

  it('are rejected if they form a cycle or are nested too deeply', async () => {
    await assert.rejects(find({ web: { include: ['a'] }, a: { include: ['web'] } }), {
      code: 'RECIPE_INVALID',
      message: 'recipe web: include: web → a → web is a cycle: remove one of these includes',
    })
    const chain = Object.fromEntries(
      Array.from({ length: 12 }, (_, i) => [`r${i}`, { include: [`r${i + 1}`] }]),
    )
    await assert.rejects(find({ web: { include: ['r0'] }, ...chain }), /is too deep: .* at most 8 steps/)
  })

  const rows: [what: string, document: Record<string, unknown>, message: RegExp][] = [
    [
      'a user without an account',
      { user: 'app' },
      /^recipe web: user: there is no account app: add it to accounts/,
    ],
    ['a group without an account', { user: '1:app' }, /^recipe web: user: there is no group app/],
    [
      'a group that does not exist',
      { accounts: [{ name: 'app', uid: 1, groups: ['wheel'] }] },
      /^recipe web: accounts: app is in the group wheel/,
    ],
    [
      'a file below a file',
      {
        files: [
          { path: '/a', text: '' },
          { path: '/a/b', text: '' },
        ],
      },
      /^recipe web: files: \/a\/b is below \/a/,
    ],
    [
      'passwd together with accounts',
      { accounts: [{ name: 'app', uid: 1000 }], files: [{ path: '/etc/passwd', text: '' }] },
      /^recipe web: files: \/etc\/passwd is generated from accounts/,
    ],
    [
      'two files at one path',
      { include: ['a'], files: [{ path: '/a', text: '2' }] },
      /^recipe web: files: \/a is also in the recipe a/,
    ],
  ]
  for (const [what, document, message] of rows) {
    it(`are rejected with ${what}`, async () => {
      const rejected = find({ web: document, a: { files: [{ path: '/a', text: '1' }] } })
      await assert.rejects(rejected, (error: Error) => message.test(error.message))
    })
  }
})
