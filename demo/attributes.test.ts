import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { recipes, type Recipe } from '../src/image/recipes.ts'
import { attributes, type Attributes } from './attributes.ts'

/** Whether the set has an attribute; outputs count as packages. */
function has(path: readonly string[], set: Attributes | string | undefined = attributes): boolean {
  const [first, ...rest] = path
  if (first === undefined) return set !== undefined
  return typeof set === 'object' && has(rest, set[first] ?? '') && first in set
}

describe('the demo set', () => {
  for (const [name, recipe] of Object.entries<Recipe>(recipes)) {
    it(`has the packages that ${name} requires`, () => {
      const missing = recipe.packages.filter((choice) => {
        const names = typeof choice === 'string' ? [choice] : choice
        return !names.some((each) => has(each.split('.')))
      })
      assert.deepEqual(missing, [])
    })
  }
})
