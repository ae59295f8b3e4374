import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import { specOf, type ImageSpec } from '../image/spec.ts'
import { parseStorePath } from '../image/store-path.ts'
import { environment } from '../rootfs/rootfs.ts'
import type { Blobs } from './blobs.ts'
import { closureOf } from './closure.ts'
import { imageKey } from './image-key.ts'
import { publishImage } from './image.ts'

const path = (letter: string, name: string) => parseStorePath(`/nix/store/${letter.repeat(32)}-${name}`)
const [libc, hello, cacert] = [path('a', 'glibc-2.40'), path('b', 'hello-2.12'), path('c', 'nss-cacert-3.1')]
const facts = [libc, hello, cacert].map((storePath, index) => ({
  storePath,
  narHash: `sha256:${String(index).repeat(64)}`,
  narSize: 1000 * (index + 1),
  references: storePath === hello ? [libc] : [],
}))
const closure = closureOf([hello, cacert], facts)
const packages = [hello, cacert].map((outputPath) => ({
  attribute: 'any',
  version: '1',
  drvPath: path('d', 'any.drv'),
  output: 'out',
  outputPath,
}))
const specFor = (name: string, revision = 'r1'): ImageSpec =>
  specOf(parseImageReference(name), { revision, packages }, { env: environment })
const layering = { maxLayers: 120, popularity: { version: 'p1', counts: new Map<string, number>() } }
const keyOfSpec = (spec: ImageSpec): string =>
  imageKey(spec, closure, { ...layering, strategy: 'stable' }, 'gzip')

describe('the key and digests of an image', () => {
  // As the first version computed them: an image key that changes rebuilds every image of every registry.
  const rows = [
    [
      'hello',
      { strategy: 'stable', maxLayers: 120 },
      '3f0ba99d4d4c459c503a022adba0d73785a5b2fd68cbdd2b08113ab6c3e9aafa',
      '14dc9c18c3f23c0aa7fe48b97f1da07c09f02ffd3522a7a3449b692460d2a7e2',
      '57d19bdca6070204a95e255f5894c4d80386a8f9fa21c246f6d51498c2d0e06f',
    ],
    [
      'shell/hello',
      { strategy: 'stable', maxLayers: 120 },
      '81df6c581a6b16015337ab3041c629e4ff89bfbd8bf4599e7ab2c42bb8d7a6db',
      '27b67c3ebc07145cc2a5a22e34b83b4fa5b329244d114a17392e98b9c839bdea',
      '790ff54d7ef44e66370e056d2896dfb9fddc2a4a2f8ce99782d77d4242751c5d',
    ],
    [
      'arm64/hello',
      { strategy: 'stable', maxLayers: 120 },
      '45a56ce2b3d74b926193daa8dcfb28185593ea2d8c1b3429afc4583ee6eae4b1',
      'd6a0f07ac7f4ad771f750c82a69508944a81e273e0128fd99a2b9f8c213893cb',
      '76ba33e5ed4c930bf49705f64325cd4be72d6fb68aa31fac53366d2772c56553',
    ],
    [
      'arm64/shell/hello',
      { strategy: 'nixery', maxLayers: 64 },
      'ecf15dd36e88d54c98d9feed1985e0f83d24432109a9a33b368d8a9850efbbb5',
      '64091236532daef881c17dd291d395cb0e3eeb41287c8351184efae221d4b478',
      '7970eca57c8127131a5255c69fd7001fefe8e98902d1d144647e2e91e9e9c683',
    ],
  ] as const
  for (const [name, options, key, config, manifest] of rows) {
    it(`of ${name} are what they have always been`, async () => {
      const spec = specFor(name)
      assert.equal(imageKey(spec, closure, { ...layering, ...options }, 'gzip'), key)
      const publishNothing = { publish: () => Promise.resolve() } as Partial<Blobs> as Blobs
      const layer = {
        digest: digestOf('layer'),
        diffId: digestOf('diff'),
        size: 5,
        compression: 'gzip',
      } as const
      const image = await publishImage(publishNothing, spec, [{ layer, comment: 'hello' }])
      assert.equal(image.config.digest, `sha256:${config}`)
      assert.equal(image.manifests.oci.digest, `sha256:${manifest}`)
    })
  }

  it('do not depend on the revision of the package set', () => {
    assert.equal(keyOfSpec(specFor('hello', 'r1')), keyOfSpec(specFor('hello', 'r2')))
  })

  it('depend on every field of the config', () => {
    const spec = specFor('hello')
    const configs = [
      {},
      { cmd: ['bash'] },
      { cmd: ['sh'] },
      { entrypoint: ['bash'] },
      { user: '1000' },
      { workdir: '/work' },
      { labels: { a: 'b' } },
      { env: ['A=b'] },
    ]
    const keys = configs.map((config) => keyOfSpec({ ...spec, config: { ...spec.config, ...config } }))
    assert.equal(new Set(keys).size, configs.length)
  })
})

it('a spec is plain data that says all that an image is made of', () => {
  const spec = specFor('arm64/shell/hello:v1', 'r1')
  assert.deepEqual(JSON.parse(JSON.stringify(spec)), spec)
  assert.deepEqual(spec.sets, [{ tag: 'v1', revision: 'r1' }])
  assert.deepEqual(spec.links, [hello, cacert])
  assert.deepEqual(spec.config, { env: environment, cmd: ['bash'] })
})
