import { byText } from '../src/image/store-path.ts'

/** The successors of each node. */
export type Edges = ReadonlyMap<string, ReadonlySet<string>>

/** An edge that was removed to break a cycle. */
export type CutEdge = { from: string; to: string }

/**
 * Makes a graph acyclic by removing edges, weakest kind first. `kinds` are edge sets over the same nodes, weakest
 * first; edges of the last kind are never removed. In every cycle, edges from libraries (`lib…`) are removed before those from programs,
 * and then in the order of names, so that the result is deterministic. Returns the kinds without the removed
 * edges, and these edges. Throws if a cycle of edges that must not be removed is left.
 */
export function breakCycles(kinds: readonly Edges[]): { kinds: Map<string, Set<string>>[]; cut: CutEdge[] } {
  const left = kinds.map((kind) => new Map([...kind].map(([from, to]) => [from, new Set(to)])))
  const cut: CutEdge[] = []
  for (;;) {
    const cycles = stronglyConnected(union(left)).filter((component) => component.length > 1)
    if (cycles.length === 0) return { kinds: left, cut }
    for (const cycle of cycles) cut.push(...cutOne(left, cycle))
  }
}

function cutOne(kinds: Map<string, Set<string>>[], cycle: string[]): CutEdge[] {
  const members = new Set(cycle)
  const ordered = cycle.toSorted((a, b) => Number(isProgram(a)) - Number(isProgram(b)) || byText(a, b))
  for (const kind of kinds.slice(0, -1)) {
    for (const from of ordered) {
      const inner = [...(kind.get(from) ?? [])].filter((to) => members.has(to)).sort()
      if (inner.length === 0) continue
      for (const to of inner) kind.get(from)?.delete(to)
      return inner.map((to) => ({ from, to }))
    }
  }
  throw new Error(`a cycle that cannot be broken: ${ordered.join(', ')}`)
}

const isProgram = (name: string): boolean => !name.startsWith('lib')

function union(kinds: readonly Edges[]): Map<string, Set<string>> {
  const all = new Map<string, Set<string>>()
  for (const kind of kinds) {
    for (const [from, to] of kind) all.set(from, (all.get(from) ?? new Set()).union(to))
  }
  return all
}

/** Tarjan's strongly connected components, members in no particular order. */
export function stronglyConnected(edges: Edges): string[][] {
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const onStack = new Set<string>()
  const components: string[][] = []
  const lower = (node: string, value: number): void => {
    low.set(node, Math.min(low.get(node) ?? Infinity, value))
  }
  const visit = (node: string): void => {
    order.set(node, order.size)
    lower(node, order.size - 1)
    stack.push(node)
    onStack.add(node)
    for (const next of [...(edges.get(node) ?? [])].sort()) {
      if (!order.has(next)) {
        visit(next)
        lower(node, low.get(next) ?? Infinity)
      } else if (onStack.has(next)) lower(node, order.get(next) ?? Infinity)
    }
    if (low.get(node) !== order.get(node)) return
    const component = stack.splice(stack.indexOf(node))
    for (const member of component) onStack.delete(member)
    components.push(component)
  }
  for (const node of [...edges.keys()].sort()) if (!order.has(node)) visit(node)
  return components
}
