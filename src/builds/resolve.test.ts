import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { ErrorCode } from '../errors.ts'
import { parseImageName } from '../image/name.ts'
import type { LookUp } from '../nix/evaluate.ts'
import { openBench, type Bench } from '../nix/testing.ts'
import { nameFilter } from '../packages/policy.ts'
import { builtInBook } from '../recipes/testing.ts'
import { createAllowance } from '../queue/allowance.ts'
import { createPassingFailures } from './passing.ts'
import { createResolver } from './resolve.ts'

let bench: Bench
let folder: string
before(async () => {
  bench = await openBench('cold')
  folder = await bench.set(`
    good = run "good-1" "";
    throws = throw "not today";
    passing = import (run "passing-1" "exit 1");
    secret = run "secret-1" "";
    alias = { inherit secret; };
    several = derivation {
      name = "several-1"; inherit system unique; builder = "/bin/sh"; args = [ ]; outputs = [ "out" "doc" "dev" ];
    } // { inner = good; };
    "gtk+3" = good;
    "python3.11" = good;
    "foo'" = good;
    node."@angular/cli" = good;
    a__plus__b = good;
    "a+b" = secret;
    _7zz = good;
    "7+zip" = good;
    "_9+x" = good;
  `)
})
after(() => bench.close())

/** A resolver that remembers temporary failures forever, and records its requests to Nix. */
async function resolverOver(
  catalog: Catalog,
  deny: string[] = [],
  allow: string[] = [],
  failures = createAllowance(1_000, 0),
) {
  const lookUps: LookUp[] = []
  const evaluate: Bench['nix']['evaluate'] = (lookUp, watch) => {
    lookUps.push(lookUp)
    return bench.nix.evaluate(lookUp, watch)
  }
  let pending: Promise<unknown>[] = []
  const resolver = createResolver({
    catalog,
    recipes: builtInBook,
    nix: { ...bench.nix, evaluate },
    policy: { config: {}, overlays: [] },
    filter: nameFilter(allow, deny),
    warn: () => {},
    later: (work) => pending.push(work),
    passing: createPassingFailures({ usual: 3600, costly: 3600 }),
    failures,
  })
  const pinned = { set: { folder }, revision: bench.unique, unchanged: () => Promise.resolve(true) }
  return {
    lookUps,
    resolve: async (name: string): Promise<string> => {
      const options = { signal: new AbortController().signal, emit: () => {} }
      const found = await resolver.resolve(parseImageName(name), pinned, options).then(
        ({ packages }) => packages.map(({ attribute }) => attribute).join(' '),
        (error: { code: ErrorCode }) => error.code,
      )
      await Promise.all(pending)
      pending = []
      return found
    },
  }
}

describe('the resolver', () => {
  it('stores failures of the package with the revision, and remembers others in memory', async () => {
    const catalog = await openSqliteCatalog(':memory:')
    const first = await resolverOver(catalog)
    for (const name of ['good', 'throws', 'passing', 'nothing']) await first.resolve(name)
    const { length } = first.lookUps
    assert.equal(length, 4)
    const names = ['good', 'throws', 'passing', 'nothing', 'good/throws/passing']
    for (const name of names) await first.resolve(name)
    assert.equal(first.lookUps.length, length)

    const second = await resolverOver(catalog)
    assert.equal(await second.resolve('good'), 'good')
    assert.equal(await second.resolve('throws'), 'PACKAGE_INVALID')
    assert.equal(await second.resolve('nothing'), 'PACKAGE_UNKNOWN')
    assert.deepEqual(second.lookUps, [])
    assert.equal(await second.resolve('passing'), 'PACKAGE_INVALID')
    assert.equal(second.lookUps.length, 1)
    await catalog.close()
  })

  it('stores only so many failures of names that clients made up, but those of meta-packages', async () => {
    const catalog = await openSqliteCatalog(':memory:')
    const first = await resolverOver(catalog, [], [], createAllowance(3, 0))
    const unknown = Array.from({ length: 30 }, (_, index) => `x${index}`).join('/')
    assert.equal(await first.resolve(unknown), 'PACKAGE_UNKNOWN')
    assert.equal(await first.resolve('throws'), 'PACKAGE_INVALID')
    await first.resolve('shell/good')
    const { length } = first.lookUps
    for (const name of [unknown, 'throws', 'shell/good']) await first.resolve(name)
    assert.equal(first.lookUps.length, length, 'in memory')

    const second = await resolverOver(catalog)
    for (const name of [unknown, 'throws', 'good', 'shell/good']) await second.resolve(name)
    const names = second.lookUps.flatMap(({ attributes }) => attributes.map((parts) => parts[0]?.[0]))
    assert.equal(names.length, 28, '27 made-up names and the one that throws')
    assert.ok(!names.includes('shell') && !names.includes('bash'))
    await catalog.close()
  })

  it('finds the spelled name if there is no package with the literal one', async () => {
    const catalog = await openSqliteCatalog(':memory:')
    const rows: [name: string, found: string][] = [
      ['gtk__plus__3', 'gtk+3'],
      ['GTK__PLUS__3', 'gtk+3'],
      ['gtk__u002b__3', 'gtk+3'],
      ['python3__dot__11', 'python3.11'],
      ['foo__prime', "foo'"],
      ['node.at__angular__slash__cli', 'node.@angular/cli'],
      ['node.at__angular__slash__cli.out', 'node.@angular/cli.out'],
      ['a__plus__b', 'a__plus__b'],
      ['a__u002b__b', 'a+b'],
      ['9__plus__x', '_9+x'],
      ['gtk__plus__4', 'PACKAGE_UNKNOWN'],
    ]
    for (const [name, found] of rows) {
      const open = await resolverOver(catalog)
      assert.equal(await open.resolve(name), found, name)
      assert.equal(open.lookUps.length, 1)
    }
    const denying = await resolverOver(catalog, ['gtk+3'])
    assert.equal(await denying.resolve('gtk__plus__3'), 'PACKAGE_DENIED')
    assert.deepEqual(denying.lookUps, [])
    const allowing = await resolverOver(catalog, [], ['gtk+3'])
    assert.equal(await allowing.resolve('gtk__plus__3'), 'gtk+3')
    assert.equal(await allowing.resolve('a__u002b__b'), 'PACKAGE_DENIED')
    await catalog.close()
  })

  it('allows only outputs that a pattern names', async () => {
    const catalog = await openSqliteCatalog(':memory:')
    const rows: [allow: string, name: string, found: string][] = [
      ['several.doc', 'several.doc', 'several.doc'],
      ['several.doc', 'several', 'PACKAGE_DENIED'],
      ['several.doc', 'several.dev', 'PACKAGE_DENIED'],
      ['several.doc', 'several.doc.dev', 'PACKAGE_DENIED'],
      ['several', 'several.dev', 'several.dev'],
      ['several.*', 'several.inner', 'several.inner'],
      ['several.*', 'several.doc', 'PACKAGE_DENIED'],
    ]
    for (const [allow, name, found] of rows) {
      const resolver = await resolverOver(catalog, [], [allow])
      assert.equal(await resolver.resolve(name), found, `${allow}: ${name}`)
    }
    await catalog.close()
  })

  it('finds denied derivations once per revision', async () => {
    const catalog = await openSqliteCatalog(':memory:')
    const first = await resolverOver(catalog, ['secret'])
    assert.equal(await first.resolve('secret'), 'PACKAGE_DENIED')
    assert.deepEqual(first.lookUps, [])
    assert.equal(await first.resolve('good'), 'good')
    assert.equal(await first.resolve('alias.secret'), 'PACKAGE_DENIED')
    const forDenied = ({ importFromDerivation }: LookUp) => importFromDerivation === false
    assert.equal(first.lookUps.filter(forDenied).length, 1)

    const second = await resolverOver(catalog, ['secret'])
    assert.equal(await second.resolve('alias.secret'), 'PACKAGE_DENIED')
    assert.deepEqual(second.lookUps, [])
    // Stored results depend on what is denied.
    const open = await resolverOver(catalog)
    assert.equal(await open.resolve('alias.secret/secret'), 'alias.secret')
    await catalog.close()
  })
})
