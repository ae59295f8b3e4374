import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatBase, formatPinned, isListed, isPinned, parseBase } from './base.ts'
import { configOn, environmentOn } from './on-base.ts'

const digest = `sha256:${'a'.repeat(64)}`

describe('the name of a base', () => {
  it('contains a registry, and a tag, a digest, or both', () => {
    const both = parseBase(`docker.io/debian:12@${digest}`)
    assert.ok(both && isPinned(both))
    assert.equal(formatPinned(both), `docker.io/library/debian@${digest}`)
    assert.equal(formatBase(both), `docker.io/library/debian:12@${digest}`)
    assert.equal(parseBase('localhost:5000/a/b:v1')?.tag, 'v1')
    for (const text of [
      'debian',
      'debian:12',
      'docker.io/debian',
      'docker.io/Debian:1',
      `a.b/c@sha256:1`,
      'a.b/../c:1',
    ])
      assert.equal(parseBase(text), undefined, text)
  })

  it('is in a registry or a folder of one', () => {
    const base = { host: 'quay.io', repository: 'team/tools' }
    for (const place of ['quay.io', 'quay.io/team', 'quay.io/team/tools'])
      assert.ok(isListed(base, [place]), place)
    for (const place of ['quay.io/te', 'io', 'quay.io:443', 'docker.io'])
      assert.ok(!isListed(base, [place]), place)
  })
})

describe('a config based on that of a base', () => {
  it('has the variables of both, where ours take precedence, and the folders of both, ours first', () => {
    const env = environmentOn(
      ['PATH=/go/bin:/usr/bin', 'GO=1', 'X=theirs'],
      ['PATH=/usr/local/bin:/usr/bin', 'X=ours'],
    )
    assert.deepEqual(env, ['PATH=/usr/local/bin:/usr/bin:/go/bin', 'GO=1', 'X=ours'])
    assert.deepEqual(environmentOn([], ['PATH=/bin']), ['PATH=/bin'])
  })

  it('is like that of a Dockerfile with FROM', () => {
    const base = {
      env: [],
      entrypoint: ['e'],
      cmd: ['c'],
      user: 'u',
      workdir: '/w',
      ports: ['80/tcp'],
      labels: { a: '1', b: '1' },
    }
    assert.deepEqual(configOn(base, { labels: { b: '2' }, ports: ['443/tcp'], cmd: ['mine'] }), {
      entrypoint: ['e'],
      cmd: ['mine'],
      user: 'u',
      workdir: '/w',
      ports: ['443/tcp', '80/tcp'],
      labels: { a: '1', b: '2' },
    })
    const { cmd, entrypoint } = configOn(base, { entrypoint: ['mine'] })
    assert.deepEqual([entrypoint, cmd], [['mine'], undefined])
  })
})
