import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../../errors.ts'
import { parseCacheAddress } from './address.ts'
import { createBudget } from './budget.ts'
import { parseNetrc } from './netrc.ts'

describe('parseCacheAddress', () => {
  it('parses URLs in Nix’s format', () => {
    const parse = (text: string) => {
      const found = parseCacheAddress(text)
      return found && { ...found, url: found.url.href }
    }
    const plain = { priority: undefined, trusted: false, authorization: undefined }
    assert.deepEqual(parse('https://cache.example.org'), {
      ...plain,
      url: 'https://cache.example.org/',
      name: 'https://cache.example.org',
    })
    assert.deepEqual(
      parse('http://me:pass%40@127.0.0.1:8080/a/b/?priority=10&trusted=true&want-mass-query=1#x'),
      {
        url: 'http://127.0.0.1:8080/a/b/',
        name: 'http://127.0.0.1:8080/a/b',
        priority: 10,
        trusted: true,
        authorization: `Basic ${Buffer.from('me:pass@').toString('base64')}`,
      },
    )
    assert.equal(parse('file:///srv/cache?trusted=0')?.url, 'file:///srv/cache/')
    assert.equal(parse('file:///srv/cache?trusted=0')?.trusted, false)
    assert.equal(parse('http://h?trusted=yes')?.trusted, true)
    assert.equal(parse('http://h?priority=-5')?.priority, -5)
    assert.equal(parse('http://h?priority=first')?.priority, undefined)
    // Not percent-encoded.
    assert.equal(parse('http://me:50%@h')?.authorization, `Basic ${Buffer.from('me:50%').toString('base64')}`)
    for (const other of ['daemon', 'local', '/nix/store', 's3://bucket', 'ssh-ng://host', ''])
      assert.equal(parse(other), undefined, other)
  })
})

describe('parseNetrc', () => {
  const login = parseNetrc(`# of the operator
machine a.example.org login me password "with \\" and blanks"
machine b.example.org
  login ""
  password token
machine a.example.org login other password other
default login anyone password open
`)
  it('finds the first login of a host', () => {
    assert.deepEqual(login('a.example.org'), { user: 'me', password: 'with " and blanks' })
    assert.deepEqual(login('B.example.org'), { user: '', password: 'token' })
    assert.deepEqual(login('c.example.org'), { user: 'anyone', password: 'open' })
    // A host that a cache redirects to gets only its own credentials.
    assert.equal(login('c.example.org', false), undefined)
    assert.deepEqual(login('B.example.org', false), { user: '', password: 'token' })
    assert.equal(parseNetrc('machine x login y password z')('c'), undefined)
  })
  it('never throws', () => {
    const word = fc.oneof(fc.string(), fc.constantFrom('machine', 'login', 'password', 'default', '\n', '"'))
    fc.assert(fc.property(fc.array(word), (words) => void parseNetrc(words.join(' '))('x')))
  })
})

describe('a budget', () => {
  it('assigns bytes in order, and all of them to requests for more', async () => {
    const budget = createBudget(100)
    const taken: string[] = []
    const take = async (name: string, bytes: number) => {
      const giveBack = await budget.take(bytes)
      taken.push(name)
      return giveBack
    }
    const first = await take('first', 60)
    const huge = take('huge', 1000)
    const small = take('small', 10)
    await Promise.resolve()
    assert.deepEqual(taken, ['first'])
    first()
    first() // twice is once
    const release = await huge
    assert.deepEqual(taken, ['first', 'huge'])
    release()
    ;(await small)()
    ;(await take('all', 100))()
  })

  it('assigns free bytes immediately, but not before waiting requests', async () => {
    const budget = createBudget(10)
    const giveBack = budget.takeNow(6) ?? assert.fail()
    assert.equal(budget.takeNow(5), undefined)
    const waiting = budget.take(5)
    assert.equal(budget.takeNow(1), undefined)
    giveBack()
    ;(await waiting)()
    assert.notEqual(budget.takeNow(10), undefined)
  })

  it('continues with others when a waiting request is cancelled', async () => {
    const budget = createBudget(100)
    const first = await budget.take(60)
    const leaving = new AbortController()
    const large = budget.take(80, leaving.signal)
    const small = budget.take(40)
    leaving.abort()
    await assert.rejects(large, (error) => hasCode(error, 'CANCELLED'))
    await assert.rejects(budget.take(1, leaving.signal), (error) => hasCode(error, 'CANCELLED'))
    ;(await small)()
    first()
    ;(await budget.take(100))()
  })
})
