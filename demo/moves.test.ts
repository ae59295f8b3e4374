import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planMoves } from './moves.ts'

test('whole folders are moved if nothing is in the way', () => {
  const wanted = new Map([
    ['usr/bin/a', 'bin/a'],
    ['usr/share/doc/x/copyright', 'share/doc/x/copyright'],
    ['usr/share/lintian/x', undefined],
    ['usr/lib/triplet/liba.so', 'lib/liba.so'],
  ])
  assert.deepEqual(planMoves(wanted), {
    moves: [
      { into: '.', paths: ['usr/bin'] },
      { into: 'share', paths: ['usr/share/doc'] },
    ],
    renames: [{ from: 'usr/lib/triplet', to: 'lib' }],
  })
})

test('folders with the same destination are split', () => {
  const wanted = new Map([
    ['bin/a', 'bin/a'],
    ['usr/bin/b', 'bin/b'],
    ['usr/sbin/c', 'bin/c'],
  ])
  assert.deepEqual(planMoves(wanted), {
    moves: [{ into: 'bin', paths: ['bin/a', 'usr/bin/b', 'usr/sbin/c'] }],
    renames: [],
  })
})

/** The result of the moves for a set of files. */
function carryOut(paths: readonly string[], { moves, renames }: ReturnType<typeof planMoves>): string[] {
  const steps = [
    ...moves.flatMap(({ into, paths: moved }) =>
      moved.map((from) => ({ from, to: `${into === '.' ? '' : `${into}/`}${from.split('/').at(-1) ?? ''}` })),
    ),
    ...renames,
  ]
  const arrived = steps.flatMap(({ from, to }) =>
    paths
      .filter((path) => path === from || path.startsWith(`${from}/`))
      .map((path) => to + path.slice(from.length)),
  )
  assert.equal(new Set(steps.map(({ to }) => to)).size, steps.length, 'no two moves meet')
  return arrived.sort()
}

test('every wanted file arrives once, and no other', () => {
  const folder = fc.constantFrom(
    'bin',
    'usr/bin',
    'usr/sbin',
    'usr/share/x',
    'usr/share/x/y',
    'lib/t',
    'usr/lib/t/z',
  )
  const files = fc.uniqueArray(
    fc.tuple(folder, fc.constantFrom('a', 'b', 'c')).map((parts) => parts.join('/')),
  )
  fc.assert(
    fc.property(files, fc.boolean(), (paths, drop) => {
      const destination = (path: string): string | undefined =>
        drop && path.endsWith('/b')
          ? undefined
          : path
              .replace(/^usr\//, '')
              .replace(/^sbin/, 'bin')
              .replace('lib/t/', 'lib/')
      const wanted = new Map<string, string | undefined>()
      for (const path of paths) {
        const to = destination(path)
        wanted.set(path, to !== undefined && [...wanted.values()].includes(to) ? undefined : to)
      }
      const expected = [...wanted.values()].filter((to) => to !== undefined).sort()
      assert.deepEqual(carryOut(paths, planMoves(wanted)), expected)
    }),
  )
})
