import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { digestOf } from '../image/digest.ts'
import { decide, type Decision, type Situation } from './decide.ts'

const now = 1_000_000
const grace = 3_600
const blobCount = 12
const times = fc.constantFrom(now, now - grace + 1, now - grace, now - 86_400, now - 90_000, now - 200_000, 0)
// Multiples of 10, so that sums sometimes equal limits.
const tens = (max: number) => fc.integer({ min: 0, max }).map((number) => number * 10)
const places = fc.integer({ min: 0, max: blobCount - 1 })

const situations: fc.Arbitrary<Situation> = fc
  .record({
    sizes: fc.array(tens(10), { minLength: blobCount, maxLength: blobCount }),
    modified: fc.array(times, { minLength: blobCount, maxLength: blobCount }),
    roots: fc.array(
      fc.record({
        at: times,
        parts: fc.uniqueArray(places, { maxLength: 6 }),
        heads: fc.integer({ min: 0, max: 2 }),
      }),
      { maxLength: 8 },
    ),
    indexes: fc.uniqueArray(
      fc.record({
        blob: places,
        manifests: fc.array(fc.option(places, { nil: undefined }), { maxLength: 3 }),
      }),
      { maxLength: 3, selector: ({ blob }) => blob },
    ),
    used: fc.uniqueArray(places, { maxLength: 3 }),
    keep: fc.option(fc.constantFrom(0, 86_400, 150_000), { nil: undefined }),
    limit: fc.option(tens(80), { nil: undefined }),
  })
  .map(({ sizes, modified, roots, indexes, used, keep, limit }) => {
    const lists = new Set(indexes.map(({ blob }) => blob))
    return {
      blobs: sizes.map((size, index) => ({
        digest: digestOf(String(index)),
        size,
        modified: modified[index] ?? 0,
      })),
      // An index is not part of an image, and lists no other index.
      roots: roots.map(({ at, parts, heads }) => ({
        at,
        parts: Uint32Array.from(parts.filter((part) => !lists.has(part))),
        heads,
      })),
      indexes: indexes.map(({ blob, manifests }) => ({
        blob,
        manifests: manifests.filter((manifest) => manifest === undefined || !lists.has(manifest)),
      })),
      inUse: (blob: number) => used.includes(blob),
      now,
      grace,
      keep,
      limit,
    }
  })

/** Asserts a property of all situations and decisions. */
const always = (
  claim: (situation: Situation, decision: Decision, kept: Situation['roots'], bytes: number) => void,
) =>
  fc.assert(
    fc.property(situations, (situation) => {
      const decision = decide(situation)
      const kept = situation.roots.filter((_, place) => !decision.roots.includes(place))
      const left = situation.blobs.filter((_, blob) => !decision.blobs.includes(blob))
      claim(
        situation,
        decision,
        kept,
        left.reduce((sum, { size }) => sum + size, 0),
      )
    }),
    { numRuns: 3_000 },
  )
const isSafe = ({ inUse }: Situation, { at, parts, heads }: Situation['roots'][number]) =>
  at + grace > now || parts.subarray(0, heads).some(inUse)

describe('the decision what to remove', () => {
  it('keeps blobs that are in use, young, or part of a kept image', () => {
    always((situation, { blobs }, kept) => {
      for (const blob of blobs) {
        assert.ok(!situation.inUse(blob))
        assert.ok((situation.blobs[blob]?.modified ?? now) + grace <= now)
        assert.ok(!kept.some(({ parts }) => parts.includes(blob)))
      }
    })
  })

  it('removes all other blobs except indexes', () => {
    always((situation, { blobs }, kept) => {
      for (const [blob, { modified }] of situation.blobs.entries()) {
        const stays =
          situation.inUse(blob) ||
          modified + grace > now ||
          kept.some(({ parts }) => parts.includes(blob)) ||
          situation.indexes.some((index) => index.blob === blob)
        if (!stays) assert.ok(blobs.includes(blob))
      }
    })
  })

  it('keeps indexes exactly as long as all their manifests', () => {
    always((situation, { blobs }) => {
      for (const { blob, manifests } of situation.indexes) {
        const whole = manifests.every((manifest) => manifest !== undefined && !blobs.includes(manifest))
        const modified = situation.blobs[blob]?.modified ?? now
        if (whole) assert.ok(!blobs.includes(blob))
        else if (modified + grace <= now && !situation.inUse(blob)) assert.ok(blobs.includes(blob))
      }
    })
  })

  it('removes expired images, unless they are in use or young', () => {
    always((situation, { roots }) => {
      for (const [place, root] of situation.roots.entries()) {
        if (isSafe(situation, root)) assert.ok(!roots.includes(place))
        else if (situation.keep !== undefined && root.at + situation.keep <= now) {
          assert.ok(roots.includes(place))
        }
      }
    })
  })

  it('keeps images that have not expired if there is no limit', () => {
    always((situation, { roots }) => {
      const { keep, limit } = situation
      if (limit !== undefined) return
      for (const place of roots) {
        assert.ok(keep !== undefined && (situation.roots[place]?.at ?? now) + keep <= now)
      }
    })
  })

  it('removes enough for the limit, as far as images can be removed', () => {
    always((situation, _, kept, bytes) => {
      if (situation.limit !== undefined && bytes > situation.limit) {
        assert.ok(kept.every((root) => isSafe(situation, root)))
      }
    })
  })

  it('removes the least recently used images for the limit, and no more than necessary', () => {
    always((situation, { roots }, kept, bytes) => {
      const { keep, limit } = situation
      const evicted = roots
        .map((place) => situation.roots[place])
        .filter((root) => root !== undefined)
        .filter(({ at }) => keep === undefined || at + keep > now)
      for (const { at } of evicted) {
        for (const root of kept) assert.ok(isSafe(situation, root) || at <= root.at)
      }
      const last = evicted.at(-1)
      if (last === undefined || limit === undefined) return
      assert.ok(bytes >= 0)
      // If the last one were kept, the limit would be exceeded.
      const young = { ...situation, keep, limit: undefined }
      const others = situation.roots.filter((root) => kept.includes(root) || root === last)
      const { blobs } = decide({ ...young, roots: others, keep: undefined })
      const left = situation.blobs.filter((_, blob) => !blobs.includes(blob))
      assert.ok(left.reduce((sum, { size }) => sum + size, 0) > limit)
    })
  })

  it('removes nothing when it is repeated', () => {
    always((situation, { blobs }, kept) => {
      const renumbered = new Map<number, number>()
      for (const blob of situation.blobs.keys()) {
        if (!blobs.includes(blob)) renumbered.set(blob, renumbered.size)
      }
      const again = decide({
        ...situation,
        blobs: situation.blobs.filter((_, blob) => !blobs.includes(blob)),
        roots: kept.map((root) => ({
          ...root,
          parts: root.parts.map((part) => renumbered.get(part) ?? assert.fail('a part of a kept image')),
        })),
        indexes: situation.indexes.flatMap(({ blob, manifests }) => {
          const place = renumbered.get(blob)
          if (place === undefined) return []
          const left = manifests.map((one) => (one === undefined ? one : renumbered.get(one)))
          return [{ blob: place, manifests: left }]
        }),
        inUse: (blob) => [...renumbered].some(([before, after]) => after === blob && situation.inUse(before)),
      })
      assert.deepEqual(again, { roots: [], blobs: [] })
    })
  })

  it('handles 100,000 images of 70 parts', () => {
    const blobs = Array.from({ length: 300_000 }, (_, index) => ({
      digest: digestOf(String(index % 100)),
      size: 10,
      modified: 0,
    }))
    const roots = Array.from({ length: 100_000 }, (_, index) => ({
      at: index % 1000,
      parts: Uint32Array.from({ length: 70 }, (_part, part) => (index * 3 + part) % blobs.length),
      heads: 2,
    }))
    const inUse = () => false
    const all = { blobs, roots, indexes: [], inUse, now, grace, keep: undefined, limit: 1_500_000 }
    const { blobs: going } = decide(all)
    assert.ok(going.length >= 150_000)
  })
})
