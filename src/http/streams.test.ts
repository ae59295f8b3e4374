import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { isStream, type OpenBody, type Reply } from './reply.ts'
import { createStreams } from './streams.ts'

async function* chunks() {
  yield Buffer.from('a')
}
const reply = (open: () => Promise<OpenBody>): Reply => ({ status: 200, headers: {}, body: { open } })
const good = reply(() => Promise.resolve({ chunks, close: () => Promise.resolve() }))
const open = ({ body }: Reply): Promise<OpenBody> => {
  assert.ok(isStream(body))
  return body.open()
}

describe('createStreams', () => {
  it('allows a limited number of streams, until one is closed', async () => {
    const streams = createStreams(2)
    const [first] = [await open(streams.bound(good)), await open(streams.bound(good))]
    await assert.rejects(open(streams.bound(good)), (error) => hasCode(error, 'OVERLOADED'))
    assert.deepEqual([streams.active, streams.refused], [2, 1])
    await first.close()
    await open(streams.bound(good))
    assert.deepEqual([streams.active, streams.refused], [2, 1])
  })

  it('frees the slot when opening or closing fails', async () => {
    const streams = createStreams(1)
    const failing = reply(() => Promise.reject(new Error('no such file')))
    await assert.rejects(open(streams.bound(failing)), /no such file/)
    const close = () => Promise.reject(new Error('disk gone'))
    const opened = await open(streams.bound(reply(() => Promise.resolve({ chunks, close }))))
    await assert.rejects(opened.close(), /disk gone/)
    assert.equal(streams.active, 0)
  })

  it('does not affect responses without streams', () => {
    const plain: Reply = { status: 200, headers: {}, body: 'text' }
    assert.equal(createStreams(1).bound(plain), plain)
  })
})
