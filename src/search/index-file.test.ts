import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import { inOrder, webAddress, writtenName, type PackageEntry } from './entry.ts'
import { indexFormat, openIndex, writeIndex } from './index-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'nixery-search-'))
after(() => rmSync(folder, { recursive: true }))

const entry = (attribute: string, description = '', programs: readonly string[] = []): PackageEntry => ({
  name: writtenName(attribute.split('.')) ?? '',
  attribute,
  pname: attribute.split('.').at(-1) ?? '',
  version: '1.0',
  description,
  homepage: undefined,
  license: 'MIT',
  programs,
})

function indexOf(name: string, entries: readonly PackageEntry[]) {
  const file = join(folder, `${name}.db`)
  writeIndex(file, { revision: 'one', rules: 'all', madeAt: 1 }, entries)
  return openIndex(file)
}

describe('the search index', () => {
  const index = indexOf('all', [
    entry('gitFull', 'distributed version control system'),
    entry('git', 'distributed version control system', ['git']),
    entry('legit', 'friendlier commands'),
    entry('tig', 'browses a git repository', ['tig']),
    entry('ripgrep', 'searches with the usability of The Silver Searcher', ['rg']),
    entry('python3Packages.requests', 'HTTP library'),
    entry('bashInteractive', 'GNU shell', ['bash']),
    entry('gtk+3', 'toolkit'),
    entry('cafe', 'Café with "quotes" AND NEAR(brackets)'),
  ])
  const found = (text: string, most = 20) => [...index.matches(text, most)].map(({ name }) => name)

  const rows: [query: string, ...names: string[]][] = [
    ['git', 'git', 'gitfull', 'tig'],
    ['gi', 'git', 'gitfull', 'tig'],
    ['GIT', 'git', 'gitfull', 'tig'],
    ['rg', 'ripgrep'],
    ['requests', 'python3packages.requests'],
    ['python3packages.requests', 'python3packages.requests'],
    ['interactive', 'bashinteractive'],
    ['version control', 'git', 'gitfull'],
    ['control version', 'git', 'gitfull'],
    ['gtk+3', 'gtk__plus__3'],
    ['gtk__plus__3', 'gtk__plus__3'],
    ['cafe quotes', 'cafe'],
    ['nothing'],
    [''],
    ['   '],
  ]
  for (const [query, ...names] of rows) {
    it(`finds ${names.join(', ') || 'nothing'} for ${JSON.stringify(query)}`, () => {
      assert.deepEqual(found(query), names)
    })
  }

  it('treats query syntax as text', () => {
    for (const query of [
      '"',
      "'",
      'git"',
      'name:git',
      'a AND',
      'NOT',
      'NEAR(a b)',
      '^',
      '*',
      'git*',
      '(',
      '{name}:',
      '-x',
      '\0',
    ]) {
      assert.doesNotThrow(() => found(query), query)
    }
    assert.deepEqual(found('git" OR "tig'), [])
  })

  it('returns the requested number of results, best first', () => {
    assert.deepEqual(found('git', 1), ['git'])
    assert.deepEqual(found('git', 2), ['git', 'gitfull'])
  })

  it('finds packages by their programs, and by their names in nested sets', () => {
    assert.deepEqual(index.called('rg'), ['ripgrep'])
    assert.deepEqual(index.called('requests'), ['python3packages.requests'])
    assert.deepEqual(index.called('gi'), [])
    assert.equal(index.get('gtk__plus__3')?.attribute, 'gtk+3')
  })

  it('is not read in another format', () => {
    const file = join(folder, 'later.db')
    writeIndex(file, { revision: 'one', rules: 'all', madeAt: 1 }, [])
    openIndex(file).close()
    const database = new Database(file)
    database.pragma(`user_version = ${indexFormat + 1}`)
    database.close()
    assert.throws(() => openIndex(file), /the format/)
  })

  it('records its package set and revision', () => {
    assert.deepEqual([index.revision, index.rules, index.madeAt, index.packages], ['one', 'all', 1, 9])
  })
})

describe('an entry', () => {
  it('contains the attribute that a name refers to', () => {
    const named = (...attributes: string[]) =>
      inOrder(attributes.map((each) => entry(each))).map((one) => one.attribute)
    assert.deepEqual(named('fooBar', 'foobar', 'FooBar'), ['foobar'])
    assert.deepEqual(named('fooBar', 'FooBar'), ['FooBar'])
    assert.deepEqual(named('long-name', 'a.b', 'b', 'a'), ['a', 'b', 'long-name', 'a.b'])
  })

  it('contains names that are valid in image references', () => {
    assert.equal(writtenName(['_0x0']), '0x0')
    assert.equal(writtenName(['nodePackages', '@angular/cli']), 'nodepackages.at__angular__slash__cli')
    assert.equal(writtenName(['']), undefined)
  })

  it('links only to http and https URLs', () => {
    assert.equal(webAddress('https://git-scm.com/'), 'https://git-scm.com/')
    for (const text of [
      'javascript:alert(1)',
      'https://a b',
      'https://"',
      'data:text/html,x',
      'file:///etc',
      '',
    ]) {
      assert.equal(webAddress(text), undefined, text)
    }
  })
})
