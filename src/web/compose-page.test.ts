import assert from 'node:assert/strict'
import { it } from 'node:test'
import { amd64 } from '../image/platform.ts'
import type { SearchResult } from '../search/query.ts'
import { readAssets } from './assets.ts'
import { composePage } from './compose-page.ts'
import { parseComposition } from './composition.ts'

it('does not report missing results while the index is being built', async () => {
  const frame = { assets: readAssets(), version: '1', composes: true, searches: true }
  const page = async (state: SearchResult['state']) =>
    String(
      await composePage(
        frame,
        {
          composition: parseComposition('q=hello', [undefined]),
          sets: [undefined],
          platforms: [amd64],
          found: {
            set: undefined,
            state,
            revision: undefined,
            packages: 0,
            results: [],
            more: false,
            progress: undefined,
          },
          hasSearch: true,
          choices: [],
          name: undefined,
          problem: undefined,
          estimate: undefined,
          layers: undefined,
        },
        'localhost',
      ).body,
    )
  assert.match(await page('ready'), /0 results for hello/)
  assert.doesNotMatch(await page('making'), /0 results/)
})
