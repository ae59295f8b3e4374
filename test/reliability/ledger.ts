import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import pLimit from 'p-limit'
import { isRefused, pullBlob, pullImage, pullManifest, type Form, type Pulled } from './puller.ts'
import type { Settings, World } from './world.ts'

/** A pull: what was asked for, of which server. */
export type Wish = { readonly name: string; readonly form: Form; readonly settings: Settings }

/** What happened in all, for the report. */
export type Figures = {
  kills: number
  /** Pulls that were answered with a manifest, and those that a kill has cut off. */
  answered: number
  cutOff: number
  /** After restarts: files of blobs that were asked for and hashed, and of these, those that were not served. */
  hashed: number
  unserved: number
  /** After restarts: images that were asked for by digest; cut-off pulls that were repeated. */
  imagesChecked: number
  repeated: number
  /** Images that cleaning up has removed, and pulls that met it. */
  collected: number
  metCleaning: number
  cleanings: number
  cleaningsKilled: number
  /** Processes that outlived their server, and for how long at most (ms). */
  outlived: number
  longestOutlived: number
  /** Unfinished files that one kill has left, at most, and their bytes. */
  mostLeft: number
  mostLeftBytes: number
}

export const noFigures = (): Figures => ({
  kills: 0,
  answered: 0,
  cutOff: 0,
  hashed: 0,
  unserved: 0,
  imagesChecked: 0,
  repeated: 0,
  collected: 0,
  metCleaning: 0,
  cleanings: 0,
  cleaningsKilled: 0,
  outlived: 0,
  longestOutlived: 0,
  mostLeft: 0,
  mostLeftBytes: 0,
})

/** What servers over a world have answered, which none after them may take back. */
export type Ledger = {
  answered(wish: Wish, image: Pulled): void
  cutOff(wish: Wish): void
  /** From now on, cleaning up may remove everything that was answered so far, and what is while it is at work. */
  old(isOld: boolean): void
  /** The server was killed: of what it had just answered it may not have told the catalog that it was pulled. */
  killed(): void
  /** Cleaning up begins. */
  cleaning(): void
  readonly pending: readonly Wish[]
  /** Asks a server for all of it. @throws what is wrong */
  check(address: string, settings: Settings): Promise<void>
}

type Answered = {
  readonly image: Pulled
  readonly form: Form
  /** When it was answered last, in milliseconds. */
  readonly at: number
  mayBeGone: boolean
  isUntold: boolean
}

const keyOf = ({ name, form, settings }: Wish): string =>
  JSON.stringify([name.split('/').sort(), form, settings])
// Longer than all that is at work can take, on a machine that has other things to do.
const bound = 60_000

export function openLedger(world: World, figures: Figures): Ledger {
  const images = new Map<string, Answered>()
  const digests = new Map<string, string>()
  let pending: Wish[] = []
  let areOld = false
  let wasOld = false

  const answered = (wish: Wish, image: Pulled): void => {
    const before = digests.get(keyOf(wish)) ?? image.digest
    assert.equal(image.digest, before, `${keyOf(wish)} was answered with two digests`)
    digests.set(keyOf(wish), image.digest)
    const at = performance.now()
    images.set(image.digest, { image, form: wish.form, at, mayBeGone: areOld, isUntold: false })
    figures.answered += 1
  }

  /** Every file under the name of a digest is that blob, or is not given to anybody. */
  const checkFiles = async (address: string): Promise<Set<string>> => {
    const whole = new Set<string>()
    const names = await readdir(world.blobs)
    await pLimit(4).map(names, async (name) => {
      try {
        await pullBlob(address, `sha256:${name}`)
        whole.add(`sha256:${name}`)
      } catch (error) {
        if (!isRefused(error) || error.status !== 404) throw error
        figures.unserved += 1
      }
    })
    figures.hashed += names.length
    return whole
  }

  const checkImages = async (address: string, whole: ReadonlySet<string>): Promise<void> => {
    for (const [digest, { image, form, mayBeGone }] of images) {
      figures.imagesChecked += 1
      try {
        assert.deepEqual(await pullManifest(address, 'any', digest, { form }), image)
      } catch (error) {
        if (!mayBeGone || !isRefused(error) || error.status !== 404) throw error
        images.delete(digest)
        figures.collected += 1
        continue
      }
      for (const part of image.parts) assert.ok(whole.has(part), `${digest} was answered, and lacks ${part}`)
    }
  }

  return {
    answered,
    cutOff(wish) {
      pending.push(wish)
      figures.cutOff += 1
    },
    old(isOld) {
      areOld = isOld
      wasOld ||= isOld
      if (isOld) for (const one of images.values()) one.mayBeGone = true
    },
    killed() {
      // Only images that had looked old before can go for it.
      const lately = performance.now() - 1_000
      if (wasOld) for (const one of images.values()) one.isUntold ||= one.at > lately
    },
    cleaning() {
      for (const one of images.values()) one.mayBeGone ||= one.isUntold
    },
    get pending() {
      return pending
    },
    async check(address, settings) {
      await checkImages(address, await checkFiles(address))
      const now = pending.filter(({ settings: { demo } }) => demo === settings.demo)
      pending = pending.filter((wish) => !now.includes(wish))
      for (const { name, form } of now) {
        const signal = AbortSignal.timeout(bound)
        answered({ name, form, settings }, await pullImage(address, name, { form, signal }))
        figures.repeated += 1
      }
    },
  }
}
