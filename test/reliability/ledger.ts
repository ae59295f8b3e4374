import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import pLimit from 'p-limit'
import { isHttpError, pullBlob, pullImage, pullManifest, type Form, type PulledImage } from './puller.ts'
import type { Settings, World } from './world.ts'

/** A pull: the image and the server's settings. */
export type PullTarget = { readonly name: string; readonly form: Form; readonly settings: Settings }

/** Totals for the report. */
export type Figures = {
  kills: number
  /** Pulls that received a manifest, and pulls that a kill interrupted. */
  pulled: number
  interrupted: number
  /** After restarts: the number of blob files requested and hashed, and how many of them were not served. */
  hashed: number
  unserved: number
  /** After restarts: images requested by digest; interrupted pulls that were repeated. */
  imagesChecked: number
  repeated: number
  /** Images that garbage collections removed, and pulls that failed because of one. */
  collected: number
  failedByGc: number
  collections: number
  collectionsKilled: number
  /** Processes that outlived their server, and the longest time that one did, in ms. */
  outlived: number
  longestOutlived: number
  /** The most unfinished files that one kill left, and their bytes. */
  mostLeft: number
  mostLeftBytes: number
}

export const noFigures = (): Figures => ({
  kills: 0,
  pulled: 0,
  interrupted: 0,
  hashed: 0,
  unserved: 0,
  imagesChecked: 0,
  repeated: 0,
  collected: 0,
  failedByGc: 0,
  collections: 0,
  collectionsKilled: 0,
  outlived: 0,
  longestOutlived: 0,
  mostLeft: 0,
  mostLeftBytes: 0,
})

/** The images that servers of a world have served. Later servers must serve the same ones. */
export type Ledger = {
  record(target: PullTarget, image: PulledImage): void
  recordInterrupted(target: PullTarget): void
  /** Whether garbage collection may remove all images served so far, and those served until this is reset. */
  setAged(isAged: boolean): void
  /** The server was killed, perhaps before it recorded its last pulls in the catalog. */
  killed(): void
  /** A garbage collection starts. */
  gcStarts(): void
  readonly pending: readonly PullTarget[]
  /** Requests all images and blobs from a server. @throws AssertionError */
  check(address: string, settings: Settings): Promise<void>
}

type ServedImage = {
  readonly image: PulledImage
  readonly form: Form
  /** The time of the last pull, in ms. */
  readonly at: number
  mayBeRemoved: boolean
  mayBeUnrecorded: boolean
}

const keyOf = ({ name, form, settings }: PullTarget): string =>
  JSON.stringify([name.split('/').sort(), form, settings])
// In ms: more than a pull takes on a busy machine.
const pullLimit = 60_000

export function openLedger(world: World, figures: Figures): Ledger {
  const images = new Map<string, ServedImage>()
  const digests = new Map<string, string>()
  let pending: PullTarget[] = []
  let isAged = false
  let wasAged = false

  const record = (target: PullTarget, image: PulledImage): void => {
    const previous = digests.get(keyOf(target)) ?? image.digest
    assert.equal(image.digest, previous, `${keyOf(target)} was served with two digests`)
    digests.set(keyOf(target), image.digest)
    const at = performance.now()
    images.set(image.digest, { image, form: target.form, at, mayBeRemoved: isAged, mayBeUnrecorded: false })
    figures.pulled += 1
  }

  /** Asserts that every blob file matches its digest or is not served. @returns the digests of the served blobs */
  const checkFiles = async (address: string): Promise<Set<string>> => {
    const served = new Set<string>()
    const names = await readdir(world.blobs)
    await pLimit(4).map(names, async (name) => {
      try {
        await pullBlob(address, `sha256:${name}`)
        served.add(`sha256:${name}`)
      } catch (error) {
        if (!isHttpError(error) || error.status !== 404) throw error
        figures.unserved += 1
      }
    })
    figures.hashed += names.length
    return served
  }

  const checkImages = async (address: string, served: ReadonlySet<string>): Promise<void> => {
    for (const [digest, { image, form, mayBeRemoved }] of images) {
      figures.imagesChecked += 1
      try {
        assert.deepEqual(await pullManifest(address, 'any', digest, { form }), image)
      } catch (error) {
        if (!mayBeRemoved || !isHttpError(error) || error.status !== 404) throw error
        images.delete(digest)
        figures.collected += 1
        continue
      }
      for (const blob of image.blobs) assert.ok(served.has(blob), `${digest} lacks ${blob}`)
    }
  }

  return {
    record,
    recordInterrupted(target) {
      pending.push(target)
      figures.interrupted += 1
    },
    setAged(value) {
      isAged = value
      wasAged ||= value
      if (value) for (const each of images.values()) each.mayBeRemoved = true
    },
    killed() {
      // Affects only images that were aged before.
      const recently = performance.now() - 1_000
      if (wasAged) for (const each of images.values()) each.mayBeUnrecorded ||= each.at > recently
    },
    gcStarts() {
      for (const each of images.values()) each.mayBeRemoved ||= each.mayBeUnrecorded
    },
    get pending() {
      return pending
    },
    async check(address, settings) {
      await checkImages(address, await checkFiles(address))
      const now = pending.filter(({ settings: { demo } }) => demo === settings.demo)
      pending = pending.filter((target) => !now.includes(target))
      for (const { name, form } of now) {
        const signal = AbortSignal.timeout(pullLimit)
        record({ name, form, settings }, await pullImage(address, name, { form, signal }))
        figures.repeated += 1
      }
    },
  }
}
