import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseStorePath } from '../image/store-path.ts'
import { duplicatesOf } from './duplicates.ts'

const path = (name: string, hash = 'a') => parseStorePath(`/nix/store/${hash.repeat(32)}-${name}`)

describe('duplicatesOf', () => {
  it('computes the cost of packages with several versions', () => {
    const sizes = new Map([
      [path('glibc-2.38-44'), 30],
      [path('glibc-2.40-66'), 32],
      [path('glibc-2.38-44-bin'), 5],
      [path('glibc-2.40-66-bin'), 6],
      [path('python3-3.11.4'), 100],
      [path('python3-3.11.4', 'b'), 90],
      [path('zlib-1.3'), 1],
      [path('source'), 1],
      [path('source', 'b'), 1],
    ])
    assert.deepEqual(duplicatesOf(sizes), [
      { name: 'python3', versions: ['3.11.4', '3.11.4'], extra: 90 },
      { name: 'glibc', versions: ['2.38-44', '2.40-66'], extra: 30 },
      { name: 'glibc-bin', versions: ['2.38-44', '2.40-66'], extra: 5 },
    ])
  })

  it('finds none if each package is included once', () => {
    assert.deepEqual(
      duplicatesOf(
        new Map([
          [path('a-1'), 1],
          [path('a-lib-1'), 1],
        ]),
      ),
      [],
    )
  })
})
