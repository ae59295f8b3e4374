import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { breakCycles, stronglyConnected, type Edges } from './cycles.ts'

const edges = (graph: Record<string, string[]>): Map<string, Set<string>> =>
  new Map(Object.entries(graph).map(([from, to]) => [from, new Set(to)]))

test('the weakest kind is cut, libraries first', () => {
  const weak = edges({ app: ['liba'], liba: ['app'] })
  const strong = edges({ app: [], liba: [] })
  const { kinds, cut } = breakCycles([weak, strong])
  assert.deepEqual(cut, [{ from: 'liba', to: 'app' }])
  assert.deepEqual(kinds[0], edges({ app: ['liba'], liba: [] }))
})

test('a stronger kind is cut only if no weaker one can be', () => {
  const { cut } = breakCycles([
    edges({ a: [], b: [] }),
    edges({ a: ['b'], b: ['a'] }),
    edges({ a: [], b: [] }),
  ])
  assert.deepEqual(cut, [{ from: 'a', to: 'b' }])
})

test('a cycle of edges that must not be cut is a bug', () => {
  assert.throws(() => breakCycles([edges({}), edges({ a: ['b'], b: ['a'] })]), /a, b/)
})

const nodes = ['a', 'b', 'c', 'd', 'libe', 'libf']
const anyEdges = fc
  .array(fc.tuple(fc.constantFrom(...nodes), fc.constantFrom(...nodes)))
  .map((pairs): Edges => {
    const all = new Map(nodes.map((node) => [node, new Set<string>()]))
    for (const [from, to] of pairs) if (from !== to) all.get(from)?.add(to)
    return all
  })

test('no cycle remains, no edge is added, and the order of nodes does not matter', () => {
  fc.assert(
    fc.property(anyEdges, (graph) => {
      const { kinds } = breakCycles([graph, new Map()])
      const [left] = kinds
      assert.ok(left)
      assert.ok(stronglyConnected(left).every((component) => component.length === 1))
      for (const [from, to] of left) assert.ok(to.isSubsetOf(graph.get(from) ?? new Set()))
      const reversed = breakCycles([new Map([...graph].reverse()), new Map()]).kinds[0]
      assert.deepEqual(reversed, left)
    }),
  )
})
