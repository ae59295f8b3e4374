import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import type { BuildEvent } from '../builds/events.ts'
import { NixeryError } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { createHistory } from './history.ts'

const options = { builds: 10, linesPerBuild: 5 }
const finished: BuildEvent = { type: 'finished', digest: digestOf('x'), ms: 1 }
const worked: BuildEvent = { type: 'realised', paths: 1, narBytes: 1, ms: 1 }
const failed = (error: unknown): BuildEvent => ({ type: 'failed', error, ms: 1 })
const broken = failed(new NixeryError('BUILD_FAILED', 'broken'))

describe('the history', () => {
  const run = (history: ReturnType<typeof createHistory>, image: string, ...events: BuildEvent[]): string => {
    const id = randomUUID()
    for (const event of [{ type: 'started', image } as const, ...events]) history.listener(id, event)
    return id
  }
  const times = (count: number, work: (index: number) => void) =>
    Array.from({ length: count }, (_, index) => work(index))

  it('limits the numbers of builds and lines, and the length of the text', () => {
    const history = createHistory({ builds: 10, linesPerBuild: 200 })
    times(30, (index) =>
      run(
        history,
        `image${index}`,
        worked,
        ...Array.from(
          { length: 1000 },
          (_, line) => ({ type: 'nix', line: `${line} ${'x'.repeat(1900)}` }) as const,
        ),
        ...Array.from({ length: 1000 }, () => ({ type: 'warning', message: 'careful' }) as const),
        finished,
      ),
    )
    const builds = history.recent()
    assert.equal(builds.length, 10)
    assert.equal(builds[0]?.image, 'image29')
    for (const { lines, forgottenLines, warnings } of builds) {
      assert.ok(lines.length <= 200 && lines.join('').length <= 100_000)
      assert.ok(lines.at(-1)?.startsWith('999 '))
      assert.equal(lines.length + forgottenLines, 1000)
      assert.ok(warnings.length <= 50)
    }
  })

  it('first forgets cached images and unknown names', () => {
    const history = createHistory(options)
    const made = run(history, 'made', worked, finished)
    const bad = run(history, 'bad', worked, broken)
    const unknown = failed(new NixeryError('PACKAGE_UNKNOWN', 'Could not find Nix packages: [nope].'))
    times(50, () => run(history, 'known', finished))
    times(50, () => run(history, 'nope', unknown))
    const noRecipe = failed(new NixeryError('RECIPE_UNKNOWN', 'there is no recipe nope'))
    times(50, () => run(history, 'recipe/nope', noRecipe))
    assert.ok(history.find(made))
    assert.ok(history.find(bad))
    times(50, () => run(history, 'made', worked, finished))
    assert.ok(history.find(bad), 'successes do not displace the last failures')
    assert.equal(history.find(made), undefined)
  })

  it('is bounded when no build ends, and accepts late events', () => {
    const history = createHistory(options)
    const first = run(history, 'first')
    times(30, () => run(history, 'running'))
    assert.equal(history.recent().length, 10)
    assert.doesNotThrow(() => history.listener(first, finished))
    assert.equal(history.find(first), undefined)
  })

  it('reveals nothing about a bug', () => {
    const history = createHistory(options)
    const id = run(history, 'x', failed(new TypeError('/root/secret is undefined')))
    assert.equal(history.find(id)?.failure?.code, undefined)
    assert.doesNotMatch(JSON.stringify(history.find(id)), /secret|TypeError/)
  })
})
