import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { HttpRequest } from '../http/request.ts'
import { createHistory } from './history.ts'
import { createWeb } from './web.ts'

describe('pages that quotas do not limit', () => {
  const pages = createWeb({
    history: createHistory({ builds: 1, linesPerBuild: 1 }),
    describe: () => [],
    version: '1',
    listBuilds: false,
    showNames: false,
  })
  const request = { method: 'GET', path: '/', query: '', header: () => undefined } as unknown as HttpRequest

  for (const [path, status] of [
    ['/docs', 200],
    ['/docs/security', 200],
    ['/made-up', 404],
    ['/docs/made-up', 404],
  ] as const) {
    it(`are rendered once: ${path}`, async () => {
      const [first, second] = [await pages(path)?.reply(request), await pages(path)?.reply(request)]
      assert.equal(first?.status, status)
      assert.equal(first, second)
    })
  }
})
