import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { digraph } from './digraph.ts'
import { immediateDominators, topDominators } from './dominators.ts'
import { successorLists } from './testing.ts'

const dominatorsOf = (successors: number[][], root = 0): number[] => [
  ...immediateDominators(digraph(successors), root),
]
const topsOf = (dominators: number[], root = 0): number[] => [
  ...topDominators(Int32Array.from(dominators), root),
]

describe('immediateDominators', () => {
  it('finds the node where paths to a join split', () => {
    assert.deepEqual(dominatorsOf([[1], [2, 3], [4], [4], [5], []]), [0, 0, 1, 1, 1, 4])
  })

  it('handles the irreducible cycle of the paper (figure 4)', () => {
    // 6 → 5, 4; 5 → 1; 4 → 2, 3; 1 ⇄ 2 ⇄ 3
    assert.deepEqual(dominatorsOf([[], [2], [1, 3], [2], [2, 3], [1], [5, 4]], 6), [-1, 6, 6, 6, 6, 6, 6])
  })

  it('is -1 for unreachable nodes, including those with edges to reachable ones', () => {
    assert.deepEqual(dominatorsOf([[1], [], [1, 3], []]), [0, 0, -1, -1])
  })

  it('agrees with removing each node in turn', () => {
    fc.assert(
      fc.property(successorLists(), fc.nat(), (successors, pick) => {
        const root = pick % successors.length
        assert.deepEqual(dominatorsOf(successors, root), dominatorsByRemoval(successors, root))
      }),
      { numRuns: 1000 },
    )
  })

  it('handles a chain of 100,000 nodes, and one in which all nodes point to one', () => {
    const size = 100_000
    const chain = Array.from({ length: size }, (_, node) => (node + 1 < size ? [node + 1] : []))
    const dominators = dominatorsOf(chain)
    assert.ok(dominators.every((dominator, node) => dominator === Math.max(0, node - 1)))
    assert.ok(topsOf(dominators).every((top, node) => top === (node === 0 ? -1 : 1)))

    const comb = [...chain.map((targets) => [size, ...targets]), []]
    assert.equal(dominatorsOf(comb)[size], 0)
  })
})

describe('topDominators', () => {
  it('finds the child of the root above each node', () => {
    assert.deepEqual(topsOf([0, 0, 1, 2, 0, 4, -1]), [-1, 1, 1, 1, 4, 4, -1])
  })

  it('agrees with walking up from each node', () => {
    fc.assert(
      fc.property(successorLists(), fc.nat(), (successors, pick) => {
        const root = pick % successors.length
        const dominators = dominatorsOf(successors, root)
        const expected = dominators.map((dominator, node) => {
          if (node === root || dominator === -1) return -1
          let top = node
          while (dominators[top] !== root) top = dominators[top] as number
          return top
        })
        assert.deepEqual(topsOf(dominators, root), expected)
      }),
    )
  })
})

/** d dominates n if n is unreachable without d; all other dominators of n dominate the immediate one. */
function dominatorsByRemoval(successors: number[][], root: number): number[] {
  const all = reachable(successors, root)
  const without = successors.map((_, removed) => reachable(successors, root, removed))
  const dominates = (a: number, b: number): boolean => all.has(b) && without[a]?.has(b) === false
  return successors.map((_, node) => {
    if (node === root) return root
    const strict = successors.flatMap((__, other) =>
      other !== node && dominates(other, node) ? [other] : [],
    )
    return strict.find((one) => strict.every((other) => dominates(other, one))) ?? -1
  })
}

function reachable(successors: number[][], root: number, removed?: number): Set<number> {
  const reached = new Set(root === removed ? [] : [root])
  for (const node of reached) {
    for (const target of successors[node] ?? []) if (target !== removed) reached.add(target)
  }
  return reached
}
