import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { describeRemoteStore } from '../src/store/remote-conformance.ts'
import { kinds, startBuckets, type Buckets } from './support/buckets.ts'

let buckets: Buckets
before(async () => {
  buckets = await startBuckets()
})
after(() => buckets?.stop())

for (const kind of kinds) describeRemoteStore(`the store in ${kind}`, () => buckets.services[kind])

describe('Google', () => {
  it('has nothing to complain of', () => {
    assert.deepEqual(buckets.gcs.complaints, [])
  })
})
