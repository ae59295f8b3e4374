import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { builtIn, recipes, type NamedRecipe, type Recipe } from '../image/recipes.ts'
import { compose, inOrder } from './compose.ts'

const named = (name: string, recipe: Partial<Recipe>): NamedRecipe => ({
  name,
  recipe: { packages: [], ...recipe },
})
const owner = { uid: 0, gid: 0 }
const account = { name: 'app', uid: 1000, gid: 1000, home: '/srv', shell: '/bin/sh', groups: [] }

describe('compose', () => {
  it('combines packages, merges by key and replaces the rest', () => {
    const composed = compose([
      named('a', {
        packages: ['b', 'a'],
        optional: ['c'],
        env: { X: '1', Y: '1' },
        labels: { l: '1' },
        ports: ['80/tcp'],
        volumes: ['/data'],
        workdir: '/a',
      }),
      named('b', {
        packages: ['a', 'c'],
        env: { Y: '2' },
        ports: ['443/tcp', '80/tcp'],
        volumes: ['/cache'],
        workdir: '/b',
      }),
    ])
    assert.deepEqual(composed, {
      packages: ['a', 'b', 'c'],
      env: { X: '1', Y: '2' },
      labels: { l: '1' },
      ports: ['443/tcp', '80/tcp'],
      volumes: ['/cache', '/data'],
      workdir: '/b',
    })
  })

  it('drops a command from before an entry point, and keeps one from the same recipe or a later one', () => {
    const [shell, entry] = [named('shell', { cmd: ['bash'] }), named('web', { entrypoint: ['nginx'] })]
    assert.equal(compose([shell, entry]).cmd, undefined)
    assert.deepEqual(compose([entry, shell]).cmd, ['bash'])
    assert.deepEqual(compose([shell, named('web', { entrypoint: ['nginx'], cmd: ['-v'] })]).cmd, ['-v'])
  })

  it('changes nothing but the order of packages in a built-in recipe, which is used as it is', () => {
    const sorted = ({ packages, optional, ...rest }: Recipe) => ({
      ...rest,
      packages: new Set(packages),
      optional: new Set(optional),
    })
    for (const [name, recipe] of Object.entries(recipes)) {
      assert.deepEqual(sorted(compose([{ name, recipe }])), sorted(recipe))
    }
  })

  it('puts built-in recipes first: shell replaces no command', () => {
    const web = named('alpha', { cmd: ['nginx'] })
    const shell = { name: 'shell', recipe: builtIn('shell') ?? { packages: [] } }
    assert.deepEqual(compose(inOrder([web, shell])).cmd, ['nginx'])
  })

  it('rejects two different files at one path, and names both recipes', () => {
    const at = (name: string, text: string) => named(name, { files: [{ path: '/etc/x', text, ...owner }] })
    assert.equal(compose([at('a', 'same'), at('b', 'same')]).files?.length, 1)
    assert.throws(() => compose([at('a', 'one'), at('b', 'other')]), {
      code: 'RECIPE_INVALID',
      message: 'recipe b: files: /etc/x is also in the recipe a, with other contents: keep one of them',
    })
  })

  it('replaces an account by one with the same name, and rejects two with the same number', () => {
    const later = { ...account, home: '/app' }
    assert.deepEqual(
      compose([named('a', { accounts: [account] }), named('b', { accounts: [later] })]).accounts,
      [later],
    )
    const other = { ...account, name: 'other' }
    assert.throws(
      () => compose([named('a', { accounts: [account] }), named('b', { accounts: [other] })]),
      /recipe \w: accounts: \w+ and \w+ both have the uid 1000/,
    )
  })
})
