import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import { specOf, type ImageSpec } from '../image/spec.ts'
import { parseStorePath } from '../image/store-path.ts'
import { environment } from '../rootfs/environment.ts'
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
const specFor = (name: string, revision = 'r1'): ImageSpec => {
  const request = parseImageReference(name)
  return specOf(request, { revision, packages, recipes: request.recipes }, { env: environment })
}
const layering = { maxLayers: 120, popularity: { version: 'p1', counts: new Map<string, number>() } }
const keyOfSpec = (spec: ImageSpec): string =>
  imageKey(spec, closure, { ...layering, strategy: 'stable' }, 'gzip')

describe('the key and digests of an image', () => {
  // An image key that changes rebuilds every image of every registry: change them once in a release at most.
  const rows = [
    [
      'hello',
      { strategy: 'stable', maxLayers: 120 },
      '1a4146a155dc6afa0e66128ba8ba2e2a064d3347d987b031ea0dc3ae0157243f',
      '2178c5faa813d418b94e88ffa93d0a47d2d4fe47b18ccb72eb0195b39c4ea98a',
      'a6b437f865be12da1bfe93a4dbe6e88a718991c010c3136ff9bb8c88b29e4f5f',
    ],
    [
      'shell/hello',
      { strategy: 'stable', maxLayers: 120 },
      'da3b5068800a2e61839307871ba69546f92c531bad0a20c10df0229e1587014d',
      'c41d63bfdff095d00ffd14bf33cb463a9f250ada8945cbc80b508f183771a058',
      '132bffa7c1ac93afd19c20f7fb19b752020deeb0cb4fb5714c3b4e968fca608d',
    ],
    [
      'arm64/hello',
      { strategy: 'stable', maxLayers: 120 },
      '8df6f8cec89855d597030bef99296163b81f44505ce613db42a8a7f449a62d27',
      'af4465d276ecd948e36d0302b7a8f3044ba7c985b47f613e08fec59ee31cd249',
      'd1e638a219199acbc48d5356b318dbf4e20b8ebc90cbd33d0fda28945e3ee70d',
    ],
    [
      'arm64/shell/hello',
      { strategy: 'nixery', maxLayers: 64 },
      '8c653db6fea51b6c883594fc01d051b7583567643aee165dcb693ba5a5daf216',
      'a6bdb6cc7f139539642d75336ba43a05de2f0de56dae1acb7f426ddbb596889a',
      'f80103d2ce1e8f89c0a37f2f65567b1513dca6608d5f5ef30188a55b6af535de',
    ],
  ] as const
  for (const [name, options, key, config, manifest] of rows) {
    it(`of ${name} are what they were`, async () => {
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
