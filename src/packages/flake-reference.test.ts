import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { repositoryOf } from './flake-reference.ts'

const commit = 'c'.repeat(40)

describe('the repository of a flake', () => {
  const rows: [reference: string, url: string, pinned: string][] = [
    ['github:o/r', 'https://github.com/o/r', `github:o/r/${commit}`],
    ['github:o/r/main', 'https://github.com/o/r', `github:o/r/${commit}`],
    ['github:o/r?dir=x&ref=main', 'https://github.com/o/r', `github:o/r/${commit}?dir=x`],
    ['github:o/r?host=git.example', 'https://git.example/o/r', `github:o/r/${commit}?host=git.example`],
    ['gitlab:a%2Fb/r', 'https://gitlab.com/a/b/r', `gitlab:a%2Fb/r/${commit}`],
    ['sourcehut:~o/r', 'https://git.sr.ht/~o/r', `sourcehut:~o/r/${commit}`],
    ['git+https://h/r.git', 'https://h/r.git', `git+https://h/r.git?ref=refs%2Fheads%2Fx&rev=${commit}`],
    [
      'git+ssh://git@h/r?ref=main&submodules=1',
      'ssh://git@h/r',
      `git+ssh://git@h/r?submodules=1&ref=refs%2Fheads%2Fx&rev=${commit}`,
    ],
    ['git+file:///r', 'file:///r', `git+file:///r?ref=refs%2Fheads%2Fx&rev=${commit}`],
    ['git://h/r', 'git://h/r', `git://h/r?ref=refs%2Fheads%2Fx&rev=${commit}`],
  ]
  for (const [reference, url, pinned] of rows) {
    it(`is found in ${reference}`, () => {
      const repository = repositoryOf(reference)
      assert.deepEqual([repository?.url, repository?.at(commit, 'refs/heads/x')], [url, pinned])
    })
  }

  for (const reference of [
    'path:/x',
    '/x',
    '.',
    'nixpkgs',
    'https://h/x.tar.gz',
    'flake:nixpkgs',
    'toString:a/b',
  ]) {
    it(`is not found in ${reference}`, () => {
      assert.equal(repositoryOf(reference), undefined)
    })
  }
})
