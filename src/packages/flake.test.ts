import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import type { FetchedSources } from './fetched.ts'
import { flakeSource } from './flake.ts'
import type { Fetcher } from './remote.ts'

/** A flake whose repository has the branch `trunk`, and the recorded requests to Nix and git. */
function sourceOf(reference: string) {
  const lookups: string[] = []
  const notes: string[] = []
  const kept = new Set<StorePath>()
  const fetcher = {
    async lockFlake(wanted, rootOf) {
      lookups.push(wanted)
      const path = `/nix/store/${'0'.repeat(32)}-source` as StorePath
      rootOf(path)
      return { url: `path:${path}`, revision: '1', paths: [path], warning: 'no such input' }
    },
    remoteRefs: async () => new Map([['refs/heads/trunk', 'a'.repeat(40)]]),
  } as Partial<Fetcher> as Fetcher
  const fetched = {
    together: (fetch) =>
      fetch((path) => {
        kept.add(path)
        return '/root'
      }),
    use: (paths) => paths.every((path) => kept.has(path)),
    current: () => {},
  } as Partial<FetchedSources> as FetchedSources
  const source = flakeSource(reference, {
    fetcher,
    fetched,
    allowed: ['refs/heads/*'],
    mirrorsDirectory: '/nowhere',
    ttl: 3_600_000,
    fetches: (work) => work(),
    queries: (work) => work(),
    note: (line) => notes.push(line),
  })
  return { source, lookups, notes, kept }
}

describe('flakeSource', () => {
  it('is evaluated from the store, and locked again when the store no longer has it', async () => {
    const { source, lookups, notes, kept } = sourceOf('git+https://example.org/set')
    for (const tag of ['trunk', 'trunk']) {
      const { set } = await source.pin(tag)
      assert.deepEqual(set, { flake: `path:/nix/store/${'0'.repeat(32)}-source` })
    }
    const commit = `git+https://example.org/set?ref=refs%2Fheads%2Ftrunk&rev=${'a'.repeat(40)}`
    assert.deepEqual(lookups, [commit])
    assert.match(notes.join(), /^inputs of flake .* cannot be fetched:\nno such input$/)
    kept.clear()
    await source.pin('trunk')
    assert.deepEqual(lookups, [commit, commit])
  })

  it('has only `latest` if it is a folder', async () => {
    const { source, lookups } = sourceOf('path:/set')
    for (const tag of ['trunk', 'a'.repeat(40)])
      await assert.rejects(source.pin(tag), (error) => hasCode(error, 'MANIFEST_UNKNOWN'))
    assert.deepEqual(lookups, [])
    await source.pin('latest')
    assert.deepEqual(lookups, ['path:/set'])
  })
})
