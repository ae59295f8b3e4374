import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { apiHost, formatReference, parseReference } from './reference.ts'
import { isLoopback } from '../net/loopback.ts'

describe('a push target', () => {
  const good: [text: string, whole: string][] = [
    ['registry.example/team/tools', 'registry.example/team/tools:latest'],
    ['registry.example:5000/a:v1', 'registry.example:5000/a:v1'],
    ['docker://localhost/a/b:x', 'localhost/a/b:x'],
    ['[::1]:5000/a', '[::1]:5000/a:latest'],
    ['docker.io/git', 'docker.io/library/git:latest'],
    ['docker.io/team/git', 'docker.io/team/git:latest'],
  ]
  for (const [text, whole] of good) {
    it(`is ${text}`, () => assert.equal(formatReference(parseReference(text)), whole))
  }
  const bad = [
    '',
    'git',
    'team/tools',
    'registry.example',
    'registry.example/',
    'registry.example/A',
    'a.b/c//d',
  ]
  const odd = [
    'a.b/c:',
    'a.b/c:-x',
    'a.b/c@sha256:0',
    'http://a.b/c',
    'a.b:port/c',
    'user@a.b/c',
    'a.b/../c',
    'a.b/c?x',
  ]
  for (const text of [...bad, ...odd]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseReference(text),
        (error) => hasCode(error, 'NAME_INVALID', 'TAG_INVALID'),
      )
    })
  }

  it('may be on this machine', () => {
    const here = [
      'localhost',
      'localhost:5000',
      '127.0.0.1',
      '127.1.2.3:80',
      '[::1]',
      '[::1]:5',
      'a.localhost',
    ]
    const elsewhere = ['localhost.example', '127.0.0.1.example', '10.0.0.1', '[::2]', '1127.0.0.1']
    assert.deepEqual(here.filter(isLoopback), here)
    assert.deepEqual(elsewhere.filter(isLoopback), [])
  })

  it('may be Docker Hub, whose API has another host', () => {
    assert.equal(apiHost('docker.io'), 'registry-1.docker.io')
    assert.equal(apiHost('registry.example:1'), 'registry.example:1')
  })
})
