import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { packages } from './cases/packages.ts'
import { system } from './cases/system.ts'
import { rowsBelow } from './table.ts'

const document = readFileSync(new URL('../../docs/images.md', import.meta.url), 'utf8')

for (const [heading, cases] of [
  ['## What every image has', system],
  ['## What comes with a package', packages],
] as const) {
  it(`${heading.slice(3)}: each row is tested, and nothing else`, () => {
    const promised = rowsBelow(document, heading).map(([what]) => what)
    assert.deepEqual(
      promised,
      cases.map(({ name }) => name),
    )
  })
}
