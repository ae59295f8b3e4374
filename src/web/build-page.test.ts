import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BuildEvent } from '../builds/events.ts'
import { NixeryError } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import { readAssets } from './assets.ts'
import { buildPage } from './build-page.ts'
import { createHistory } from './history.ts'
import { documentOf } from './layout.ts'

const id = '00000000-0000-4000-8000-000000000000'

const pageOf = (...events: readonly BuildEvent[]): string => {
  const history = createHistory({ builds: 5, linesPerBuild: 10 })
  for (const event of [{ type: 'started', image: 'git' } as const, ...events]) history.listener(id, event)
  const record = history.find(id)
  assert.ok(record)
  const frame = { assets: readAssets(), version: '1', composes: false, searches: false }
  return documentOf(frame, buildPage(frame, record, { showNames: true }))
}

describe('the page of a build', () => {
  it('shows what is being downloaded from a binary cache', () => {
    const path = `/nix/store/${'a'.repeat(32)}-hello-2.12` as StorePath
    const text = pageOf(
      { type: 'realised', origin: 'caches', paths: 3, narBytes: 9e6, ms: 1 },
      { type: 'planned', layers: 3, known: 1 },
      { type: 'downloading', bytes: 4e6 },
      { type: 'downloaded', cache: 'https://cache.example', path, bytes: 4e6, ms: 1 },
    )
    assert.match(text, /4\.0 MB downloaded/)
    assert.match(text, /downloaded <code>hello-2\.12<\/code>/)
    // Where a script runs, it does not reload.
    assert.match(text, /<noscript><meta http-equiv="refresh"/)
  })

  it('starts with the package that failed and its last lines', () => {
    const text = pageOf(
      { type: 'resolved', packages: ['git'], names: 1, evaluated: 1, ms: 1 },
      { type: 'nix', line: 'checking for gcc' },
      { type: 'failed', error: new NixeryError('BUILD_FAILED', 'git-2.39 failed:\nno space'), ms: 1 },
    )
    const [error, steps, log] = ['git-2.39 failed:\nno space', '<h2>Steps</h2>', 'checking for gcc'].map(
      (what) => text.indexOf(what),
    )
    assert.ok(error !== undefined && steps !== undefined && log !== undefined)
    assert.ok(error > 0 && error < steps && steps < log)
  })
})
