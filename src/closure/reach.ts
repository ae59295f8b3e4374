import { type Digraph, postorder, renumbered, sizeOf } from './digraph.ts'

// The number of nodes that one pass tracks, as bits. With 512, the rows of 10,000 nodes (640 kB) fit in a core's cache,
// and memory is linear in the number of nodes; all bits at once would take 1.2 GB for 100,000 nodes.
const blockWords = 16
const blockNodes = blockWords * 32

/**
 * For each node, sums the weights of all nodes that it reaches, including itself. Each node counts once.
 *
 * Every node has a row with one bit for each node that it reaches. Rows are computed in postorder from those of the
 * successors; with cycles, this is repeated until nothing changes. The columns are processed in blocks, so the whole
 * matrix never exists. Sums are exact below 2^53.
 */
export function reachedWeights(graph: Digraph, weights: ArrayLike<number>): Float64Array {
  const size = sizeOf(graph)
  const order = postorder(graph, Array(size).keys())
  const ordered = renumbered(graph, order)
  const acyclic = isDescending(ordered)
  const rows = new Uint32Array(size * blockWords)
  const orderedWeights = Float64Array.from(order, (node) => weights[node] as number)
  const sums = new Float64Array(size)
  for (let first = 0; first < size; first += blockNodes) {
    // Without cycles, a node reaches only nodes before it in postorder, so rows before this block have no bits in it.
    const start = acyclic ? first : 0
    rows.fill(0, start * blockWords)
    for (let node = first; node < Math.min(first + blockNodes, size); node++) {
      const column = node - first
      rows[node * blockWords + (column >>> 5)] = 1 << (column & 31)
    }
    for (let again = true; again;) again = spread(ordered, rows, start) && !acyclic
    addSums(rows, start, sumsOfBytes(orderedWeights, first), sums)
  }
  const result = new Float64Array(size)
  for (const [number, node] of order.entries()) result[node] = sums[number] as number
  return result
}

/** Whether each edge leads to a lower number or to its own node. For a postorder, this means that there is no cycle. */
function isDescending({ offsets, targets }: Digraph): boolean {
  for (let node = 0; node < offsets.length - 1; node++) {
    for (let edge = offsets[node] as number; edge < (offsets[node + 1] as number); edge++) {
      if ((targets[edge] as number) > node) return false
    }
  }
  return true
}

/** Ors the rows of the successors into each row from `start` on. Returns whether a bit was added. */
function spread({ offsets, targets }: Digraph, rows: Uint32Array, start: number): boolean {
  let added = 0
  for (let node = start; node < offsets.length - 1; node++) {
    const end = offsets[node + 1] as number
    const row = node * blockWords
    for (let edge = offsets[node] as number; edge < end; edge++) {
      const target = targets[edge] as number
      if (target < start) continue
      const from = target * blockWords
      for (let word = 0; word < blockWords; word++) {
        const before = rows[row + word] as number
        const after = before | (rows[from + word] as number)
        added |= after ^ before
        rows[row + word] = after
      }
    }
  }
  return added !== 0
}

/** For each group of eight columns of the block, the sums of the weights for all 256 combinations of bits. */
function sumsOfBytes(weights: Float64Array, first: number): Float64Array {
  const table = new Float64Array(blockWords * 4 * 256)
  for (let byte = 0; byte < blockWords * 4; byte++) {
    for (let bits = 1; bits < 256; bits++) {
      const lowest = 31 - Math.clz32(bits & -bits)
      const weight = weights[first + byte * 8 + lowest] ?? 0
      table[byte * 256 + bits] = (table[byte * 256 + (bits & (bits - 1))] as number) + weight
    }
  }
  return table
}

/** Adds the weights of the bits in each row to its sum. */
function addSums(rows: Uint32Array, start: number, table: Float64Array, sums: Float64Array): void {
  for (let node = start; node < sums.length; node++) {
    let sum = 0
    for (let word = 0; word < blockWords; word++) {
      const bits = rows[node * blockWords + word] as number
      if (bits === 0) continue
      const base = word * 1024
      sum +=
        (table[base + (bits & 255)] as number) +
        (table[base + 256 + ((bits >>> 8) & 255)] as number) +
        (table[base + 512 + ((bits >>> 16) & 255)] as number) +
        (table[base + 768 + (bits >>> 24)] as number)
    }
    sums[node] = (sums[node] as number) + sum
  }
}
