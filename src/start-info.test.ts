import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readConfig } from './config.ts'
import { startInfo } from './start-info.ts'

describe('what a started server says of itself', () => {
  const at = (environment: Record<string, string>, isReady = true) =>
    startInfo(readConfig({ HOME: '/root', ...environment }), { port: 8080, tls: false, isReady })
  const database = { NIXERY_DATABASE_URL: 'postgresql:///nixery', NIXERY_PKGS_PATH: '/packages' }

  it('has a command to try it with', () => {
    assert.equal(at({}).pull, 'docker pull 127.0.0.1:8080/shell/hello')
    assert.equal(at({ ...database, NIXERY_ROLE: 'front' }).pull, 'docker pull 127.0.0.1:8080/shell/hello')
  })

  it('has none while the package set cannot be used', () => {
    assert.ok(!('pull' in at({}, false)))
  })

  it('has none for a worker, which serves no images', () => {
    const facts = at({ ...database, NIXERY_ROLE: 'worker' })
    assert.equal(facts.url, 'http://127.0.0.1:8080/')
    assert.ok(!('pull' in facts))
  })
})
