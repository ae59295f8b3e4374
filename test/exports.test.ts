import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deadExports } from './support/exports.ts'

describe('dead exports', () => {
  const rows: [dead: string[], modules: Record<string, string>][] = [
    [['a.ts: one'], { 'a.ts': 'export const one = 1' }],
    [
      ['a.ts: one'],
      { 'a.ts': 'export const one = 1\nexport const two = one', 'b.ts': "import { two } from './a.ts'" },
    ],
    [[], { 'a.ts': 'export async function one() {}', 'x/b.ts': "import {\n  one as two,\n} from '../a.ts'" }],
    [[], { 'a.ts': 'export class One {}', 'b.ts': "export { One } from './a.ts'" }],
    [[], { 'a.ts': 'export class One {}', 'b.ts': "export * from './a.ts'" }],
    [[], { 'a.ts': 'export let one = 1', 'b.ts': "import * as a from './a.ts'" }],
    [[], { 'a.ts': 'export const one = 1', 'b.ts': "const { one } = await import('./a.ts')" }],
    [['a.ts: two'], { 'a.ts': 'export const two = 1', 'b.ts': "const { one } = await import('./a.ts')" }],
    [[], { 'a.ts': 'export const one = 1', 'b.ts': "const a = import('./a.ts')" }],
    [['a.ts: One'], { 'a.ts': 'export type One = string' }],
    [['a.ts: f'], { 'a.ts': 'export type One = string\nexport function f(one: One) {}' }],
    [['a.ts: one'], { 'a.ts': 'export const one = 1', 'a.test.ts': "import { one } from './a.ts'" }],
    [[], { 'a.ts': 'export const one = 1\nconst two = one', 'a.test.ts': "import { one } from './a.ts'" }],
    [[], { 'a.test.ts': 'export const one = 1', 'b.test.ts': "import { one } from './a.test.ts'" }],
    [['a.ts: one'], { 'a.ts': 'export const one = 1', 'b.ts': "import { one } from './x/a.ts'" }],
  ]
  for (const [dead, modules] of rows) {
    it(`are ${JSON.stringify(dead)} in ${JSON.stringify(modules)}`, () => {
      assert.deepEqual(
        deadExports(new Map(Object.entries(modules)), (path) => path.endsWith('.test.ts')),
        dead,
      )
    })
  }
})
