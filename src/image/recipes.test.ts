import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { recipes, type Recipe } from './recipes.ts'

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'images.md'), 'utf8')

describe('the recipes', () => {
  for (const [name, recipe] of Object.entries<Recipe>(recipes)) {
    it(`docs/images.md lists everything that ${name} adds`, () => {
      const names = [...recipe.packages, ...(recipe.optional ?? [])].flat()
      assert.deepEqual(
        names.filter((each) => !page.includes(`\`${each}\``)),
        [],
      )
      assert.ok(page.includes(`| \`${name}\` |`))
    })
  }
})
