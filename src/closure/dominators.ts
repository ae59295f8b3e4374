import { type Digraph, postorder, renumbered, reversed, sizeOf } from './digraph.ts'

/**
 * Computes the immediate dominator of each node: the nearest other node that is on every path from the root to it. The
 * root's dominator is the root itself; unreachable nodes have -1.
 *
 * The algorithm is that of Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001), on integer arrays.
 * With nodes numbered in postorder, a node's dominator is where the dominator chains of its predecessors meet. This is
 * repeated until nothing changes: two passes for a graph without cycles.
 */
export function immediateDominators(graph: Digraph, root: number): Int32Array {
  const order = postorder(graph, [root])
  const { offsets, targets } = reversed(renumbered(graph, order))
  const last = order.length - 1
  // Postorder numbers: a dominator has a higher number than the nodes that it dominates.
  const dominators = new Int32Array(order.length).fill(-1)
  dominators[last] = last
  for (let changed = true; changed;) {
    changed = false
    for (let node = last - 1; node >= 0; node--) {
      let dominator = -1
      // In ascending order, from the far end of a long chain, so that each `meet` takes few steps.
      for (let edge = offsets[node] as number; edge < (offsets[node + 1] as number); edge++) {
        const predecessor = targets[edge] as number
        if (dominators[predecessor] === -1) continue
        dominator = dominator === -1 ? predecessor : meet(dominators, dominator, predecessor)
      }
      if (dominators[node] !== dominator) {
        dominators[node] = dominator
        changed = true
      }
    }
  }
  const result = new Int32Array(sizeOf(graph)).fill(-1)
  for (const [number, node] of order.entries()) {
    result[node] = order[dominators[number] as number] as number
  }
  return result
}

/** The lowest node on both dominator chains. */
function meet(dominators: Int32Array, a: number, b: number): number {
  let left = a
  let right = b
  while (left !== right) {
    if (left < right) left = dominators[left] as number
    else right = dominators[right] as number
  }
  return left
}

/**
 * For each node, finds the child of the root whose subtree of the dominator tree contains it. For such a child, this is
 * the child itself; for the root and for unreachable nodes, it is -1.
 *
 * @param dominators the result of `immediateDominators` for this root
 */
export function topDominators(dominators: Int32Array, root: number): Int32Array {
  const tops = new Int32Array(dominators.length).fill(-1)
  for (let node = 0; node < dominators.length; node++) {
    if (node === root || dominators[node] === -1) continue
    let end = node
    while (tops[end] === -1 && dominators[end] !== root) end = dominators[end] as number
    const top = tops[end] === -1 ? end : (tops[end] as number)
    // Store it for all nodes on the way, so that no part of a long chain is walked twice.
    for (let on = node; tops[on] === -1 && on !== root; on = dominators[on] as number) tops[on] = top
  }
  return tops
}
