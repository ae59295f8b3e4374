import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Image } from '../builds/image.ts'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { amd64, arm64, type Platform } from '../image/platform.ts'
import { imagesOf, onPlatforms } from './platforms.ts'

const part = (text: string) => ({ digest: digestOf(text), size: 1 })
const imageOf = ({ architecture }: Platform): Image => ({
  manifests: { docker: part(`docker ${architecture}`), oci: part(`oci ${architecture}`) },
  config: part(architecture),
  layers: [],
})
const platforms = [amd64, arm64]
type Outcome = 'built' | ErrorCode | readonly [ErrorCode, string]

const builds =
  (amd: Outcome, arm: Outcome) =>
  (platform: Platform): Promise<Image> => {
    const outcome = platform === amd64 ? amd : arm
    if (outcome === 'built') return Promise.resolve(imageOf(platform))
    const [code, message] = typeof outcome === 'string' ? [outcome, 'why'] : outcome
    return Promise.reject(
      new NixeryError(code, message, { hint: 'what to do', detail: { of: message } as never }),
    )
  }

describe('imagesOf', () => {
  const leaves: [amd: Outcome, arm: Outcome, architectures: string[]][] = [
    ['built', 'built', ['amd64', 'arm64']],
    ['built', 'PACKAGE_UNKNOWN', ['amd64']],
    ['PACKAGE_UNKNOWN', 'built', ['arm64']],
    ['built', 'PACKAGE_DENIED', ['amd64']],
  ]
  for (const [amd, arm, architectures] of leaves) {
    it(`gives [${architectures.join()}] of ${String(amd)} and ${String(arm)}`, async () => {
      const images = await imagesOf(platforms, builds(amd, arm))
      assert.deepEqual(
        images.map(({ platform }) => platform.architecture),
        architectures,
      )
      for (const { platform, image } of images) assert.deepEqual(image, imageOf(platform))
    })
  }

  const fails: [amd: Outcome, arm: Outcome, code: ErrorCode, message: string][] = [
    ['built', 'BUILD_FAILED', 'BUILD_FAILED', 'linux/arm64: why'],
    ['built', 'BUILD_TIMEOUT', 'BUILD_TIMEOUT', 'linux/arm64: why'],
    ['built', 'EVALUATION_TIMEOUT', 'EVALUATION_TIMEOUT', 'linux/arm64: why'],
    ['built', 'PACKAGE_INVALID', 'PACKAGE_INVALID', 'linux/arm64: why'],
    ['PACKAGE_UNKNOWN', 'BUILD_FAILED', 'BUILD_FAILED', 'linux/arm64: why'],
    ['BUILD_FAILED', 'PACKAGE_DENIED', 'BUILD_FAILED', 'linux/amd64: why'],
    ['built', 'NIX_UNAVAILABLE', 'NIX_UNAVAILABLE', 'why'],
    ['built', 'STILL_BUILDING', 'STILL_BUILDING', 'why'],
    ['PACKAGE_UNKNOWN', 'PACKAGE_UNKNOWN', 'PACKAGE_UNKNOWN', 'linux/amd64, linux/arm64: why'],
    [
      ['PACKAGE_UNKNOWN', 'none here'],
      ['PACKAGE_DENIED', 'not for you'],
      'PACKAGE_DENIED',
      'linux/amd64: none here\nlinux/arm64: not for you',
    ],
  ]
  for (const [amd, arm, code, message] of fails) {
    it(`fails with ${code} of ${String(amd)} and ${String(arm)}`, async () => {
      await assert.rejects(imagesOf(platforms, builds(amd, arm)), { code, message, hint: 'what to do' })
    })
  }
})

describe('onPlatforms', () => {
  it('changes only the message, and leaves bugs unchanged', () => {
    const error = new NixeryError('BUILD_FAILED', 'why', { hint: 'what', detail: { build: 1 } as never })
    const named = onPlatforms([arm64], error)
    assert.ok(named instanceof NixeryError)
    assert.deepEqual(
      [named.message, named.hint, named.detail, named.cause],
      ['linux/arm64: why', 'what', { build: 1 }, error],
    )
    const bug = new TypeError('bug')
    assert.equal(onPlatforms([arm64], bug), bug)
  })
})
