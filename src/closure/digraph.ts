/**
 * A directed graph with nodes 0 … n-1 in two flat arrays: the successors of node v are `targets[offsets[v]]` to
 * `targets[offsets[v + 1]]`, exclusive. Allocating an object for each node would take longer than all work on the graph.
 */
export type Digraph = { readonly offsets: Uint32Array; readonly targets: Uint32Array }

/** The number of nodes. */
export const sizeOf = (graph: Digraph): number => graph.offsets.length - 1

/** Builds the graph in which node v points to the nodes `successors[v]`. */
export function digraph(successors: readonly (readonly number[])[]): Digraph {
  const offsets = new Uint32Array(successors.length + 1)
  for (const [node, list] of successors.entries()) offsets[node + 1] = (offsets[node] as number) + list.length
  const targets = new Uint32Array(offsets[successors.length] as number)
  for (const [node, list] of successors.entries()) targets.set(list, offsets[node])
  return { offsets, targets }
}

/** Adds a last node that points to `targets`. */
export function withRoot(graph: Digraph, targets: readonly number[]): Digraph {
  const edges = graph.targets.length
  const rooted = {
    offsets: new Uint32Array(graph.offsets.length + 1),
    targets: new Uint32Array(edges + targets.length),
  }
  rooted.offsets.set(graph.offsets)
  rooted.offsets[graph.offsets.length] = edges + targets.length
  rooted.targets.set(graph.targets)
  rooted.targets.set(targets, edges)
  return rooted
}

/** Reverses all edges. The predecessors of a node are in ascending order. */
export function reversed({ offsets, targets }: Digraph): Digraph {
  const backOffsets = new Uint32Array(offsets.length)
  for (const target of targets) backOffsets[target + 1] = (backOffsets[target + 1] as number) + 1
  for (let node = 1; node < offsets.length; node++) {
    backOffsets[node] = (backOffsets[node] as number) + (backOffsets[node - 1] as number)
  }
  const free = backOffsets.slice()
  const sources = new Uint32Array(targets.length)
  for (let node = 0; node < offsets.length - 1; node++) {
    for (let edge = offsets[node] as number; edge < (offsets[node + 1] as number); edge++) {
      const target = targets[edge] as number
      const slot = free[target] as number
      sources[slot] = node
      free[target] = slot + 1
    }
  }
  return { offsets: backOffsets, targets: sources }
}

/**
 * Lists the nodes reachable from `starts` in postorder: without cycles, each node comes after all nodes that it reaches.
 * The stack is an array, so only memory limits the length of a chain.
 */
export function postorder({ offsets, targets }: Digraph, starts: Iterable<number>): Uint32Array {
  const size = offsets.length - 1
  const order = new Uint32Array(size)
  const stack = new Uint32Array(size)
  const nextEdge = offsets.slice()
  const seen = new Uint8Array(size)
  let count = 0
  for (const start of starts) {
    if (seen[start] === 1) continue
    seen[start] = 1
    stack[0] = start
    for (let depth = 0; depth >= 0;) {
      const node = stack[depth] as number
      const edge = nextEdge[node] as number
      if (edge === offsets[node + 1]) {
        order[count++] = node
        depth--
        continue
      }
      nextEdge[node] = edge + 1
      const target = targets[edge] as number
      if (seen[target] === 1) continue
      seen[target] = 1
      stack[++depth] = target
    }
  }
  return order.subarray(0, count)
}

/**
 * The subgraph of the nodes in `order`, with `order[i]` renumbered to i. No edge may leave the subgraph; for a
 * `postorder`, none does.
 */
export function renumbered({ offsets, targets }: Digraph, order: Uint32Array): Digraph {
  const numbers = new Uint32Array(offsets.length - 1)
  for (const [number, node] of order.entries()) numbers[node] = number
  const newOffsets = new Uint32Array(order.length + 1)
  const newTargets = new Uint32Array(targets.length)
  let filled = 0
  for (const [number, node] of order.entries()) {
    const end = offsets[node + 1] as number
    for (let edge = offsets[node] as number; edge < end; edge++) {
      newTargets[filled++] = numbers[targets[edge] as number] as number
    }
    newOffsets[number + 1] = filled
  }
  return { offsets: newOffsets, targets: newTargets.subarray(0, filled) }
}
