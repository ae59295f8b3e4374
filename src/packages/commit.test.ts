import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { commitTeller, publicAddress } from './commit.ts'
import type { Fetcher } from './remote.ts'

describe('publicAddress', () => {
  const rows: [url: string, address: string | undefined][] = [
    ['https://github.com/NixOS/nixpkgs', 'https://github.com/NixOS/nixpkgs'],
    ['https://bob:hunter2@example.org:8443/set.git?private_token=x#y', 'https://example.org:8443/set.git'],
    ['ssh://git@example.org/set', 'ssh://example.org/set'],
    ['file:///srv/set', undefined],
    ['/srv/set', undefined],
    ['git@example.org:set', undefined],
  ]
  for (const [url, address] of rows)
    it(`is ${address} for ${url}`, () => assert.equal(publicAddress(url), address))
})

describe('commitTeller', () => {
  it('runs git once for each commit, and never if it is not needed', async () => {
    const lookups: string[] = []
    const commitTime = async (_: string, commit: string) => {
      lookups.push(commit)
      return 1_769_860_800
    }
    const options = {
      fetcher: { commitTime } as Partial<Fetcher> as Fetcher,
      queries: <T>(work: () => T) => work(),
    }
    const url = 'https://example.org/set'
    const withCommits = commitTeller(url, '/mirror', { ...options, tellsCommits: true })
    const expected = { id: 'a', created: '2026-01-31T12:00:00Z', source: url }
    assert.deepEqual([await withCommits('a'), await withCommits('a')], [expected, expected])
    assert.deepEqual(lookups, ['a'])
    assert.equal(await commitTeller(url, '/mirror', options)('b'), undefined)
    assert.deepEqual(lookups, ['a'])
  })
})
