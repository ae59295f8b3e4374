import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode, NixeryError } from '../errors.ts'
import { parseImageReference } from '../image/name.ts'
import { buildImage, type Builds, type BuildUpdate } from './builds.ts'
import type { openFakeBuilds } from './fake-builds-testing.ts'

/** Builds under test, with a fake that records its calls. */
export type OpenBuilds = {
  readonly builds: Builds
  readonly fake: ReturnType<typeof openFakeBuilds>
  close(): Promise<void>
}

const hello = parseImageReference('hello')
const options = { requestId: 'test' }

export const failsWith = (code: Parameters<typeof hasCode>[1], work: Promise<unknown>): Promise<void> =>
  assert.rejects(work, (error) => hasCode(error, code))

export async function updatesOf(builds: Pick<Builds, 'events'>, id: string): Promise<BuildUpdate[]> {
  const updates: BuildUpdate[] = []
  for await (const update of builds.events(id)) updates.push(update)
  return updates
}

/** The tests that every implementation of `Builds` must pass. */
export function describeBuilds(name: string, open: () => Promise<OpenBuilds>): void {
  const check = (what: string, run: (opened: OpenBuilds) => Promise<void>): void => {
    void it(what, async () => {
      const opened = await open()
      try {
        await run(opened)
      } finally {
        opened.fake.end()
        await opened.close()
      }
    })
  }

  describe(name, () => {
    check('report events as plain data, the same to early and late readers', async (opened) => {
      const { builds, fake } = opened
      const { id } = await builds.submit(hello, options)
      const early = updatesOf(builds, id)
      await fake.began
      const later = updatesOf(builds, id)
      fake.end()
      await failsWith('BUILD_FAILED', builds.result(id))
      const updates = await early
      const types = updates.map(({ type }) => type)
      assert.deepEqual(types, [
        'started',
        'joined',
        'evaluating',
        'warning',
        'warning',
        'resolved',
        'nix',
        'failed',
      ])
      assert.deepEqual(JSON.parse(JSON.stringify(updates)), updates)
      const last = updates.at(-1)
      assert.ok(last?.type === 'failed')
      assert.deepEqual(last.failure, { code: 'BUILD_FAILED', message: 'it is over', hint: 'a hint' })
      assert.deepEqual([await later, await updatesOf(builds, id)], [updates, updates])
      await failsWith('BUILD_FAILED', builds.result(id))
    })

    check('serve equal requests with one build, whose failure is remembered', async ({ builds, fake }) => {
      const ids = await Promise.all(Array.from({ length: 20 }, () => builds.submit(hello, options)))
      let joined = 0
      for await (const { type } of builds.events(ids[0]?.id ?? '')) {
        if (type === 'joined') joined += 1
        if (joined === ids.length) break
      }
      fake.end()
      for (const { id } of ids) await failsWith('BUILD_FAILED', builds.result(id))
      const again = await builds.submit(hello, options)
      await failsWith('BUILD_FAILED', builds.result(again.id))
      assert.deepEqual(fake.started, ['hello'])
    })

    check(
      'report the continuing build to a caller after its limit, and return its result to the next one',
      async (opened) => {
        const { builds, fake } = opened
        const first = await builds.submit(hello, options)
        await fake.began
        const impatient = await builds.submit(hello, { ...options, limit: 1 })
        await assert.rejects(builds.result(impatient.id), (error) => {
          if (!hasCode(error, 'STILL_BUILDING')) return false
          return error.detail?.build === undefined || /^[0-9a-f-]{36}$/.test(error.detail.build)
        })
        await builds.cancel(first.id)
        await failsWith('CANCELLED', builds.result(first.id))
        const next = await builds.submit(hello, options)
        fake.end()
        await failsWith('BUILD_FAILED', builds.result(next.id))
        assert.deepEqual(fake.started, ['hello'])
      },
    )

    check('are cancelled one request at a time', async ({ builds, fake }) => {
      const [one, two] = [await builds.submit(hello, options), await builds.submit(hello, options)]
      await fake.began
      await builds.cancel(one.id)
      await failsWith('CANCELLED', builds.result(one.id))
      fake.end()
      await failsWith('BUILD_FAILED', builds.result(two.id))
      await builds.cancel(two.id)
      await failsWith('BUILD_FAILED', builds.result(two.id))
      assert.deepEqual(fake.started, ['hello'])
    })

    check('start nothing for a caller that may not build', async ({ builds, fake }) => {
      const { id } = await builds.submit(hello, { ...options, readyOnly: true })
      await failsWith('NOT_READY', builds.result(id))
      assert.deepEqual(fake.started, [])
    })

    check('ask before they start a build for a request, but not before it joins one', async (opened) => {
      const { builds, fake } = opened
      const other = parseImageReference('git')
      let calls = 0
      const once = async () => {
        calls += 1
        if (calls > 1) throw new NixeryError('QUOTA_EXCEEDED', 'that was enough')
      }
      const first = await builds.submit(hello, { ...options, mayStart: once })
      await fake.began
      const joining = await builds.submit(hello, { ...options, mayStart: once })
      const refused = await builds.submit(other, { ...options, mayStart: once })
      await failsWith('QUOTA_EXCEEDED', builds.result(refused.id))
      assert.deepEqual([calls, fake.started], [2, ['hello']])
      // It has not failed for others.
      const next = await builds.submit(other, options)
      fake.end()
      for (const { id } of [first, joining, next]) await failsWith('BUILD_FAILED', builds.result(id))
      assert.deepEqual([calls, fake.started], [2, ['hello', 'git']])
    })

    check('validate ids', async ({ builds }) => {
      await assert.rejects(builds.result('nope'), /unknown request id nope/)
      await assert.rejects(updatesOf(builds, 'nope'), /unknown request id nope/)
      await builds.cancel('nope')
    })

    check("are cancelled when a caller's signal fires", async ({ builds, fake }) => {
      const leaving = new AbortController()
      const image = buildImage(builds, hello, { ...options, signal: leaving.signal })
      image.catch(() => {})
      await fake.began
      leaving.abort()
      await failsWith('CANCELLED', image)
      const gone = { ...options, signal: AbortSignal.abort() }
      await failsWith('CANCELLED', buildImage(builds, hello, gone))
      assert.deepEqual(fake.started, ['hello'])
    })
  })
}
