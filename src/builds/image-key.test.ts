import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import { builtIn } from '../image/recipes.ts'
import { compose } from '../recipes/compose.ts'
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
  license: 'MIT',
  implied: outputPath === cacert,
}))
const specFor = (name: string, revision = 'r1'): ImageSpec => {
  const request = parseImageReference(name)
  const recipe = compose(
    request.recipes.map((each) => ({ name: each, recipe: builtIn(each) ?? { packages: [] } })),
  )
  return specOf(request, { revision, packages, recipe }, { env: environment })
}
const layering = { maxLayers: 120, popularity: { version: 'p1', counts: new Map<string, number>() } }
const keyOfSpec = (spec: ImageSpec): string =>
  imageKey(spec, closure, { ...layering, strategy: 'stable' }, 'gzip')

describe('the key and digests of an image', () => {
  // A changed image key rebuilds every image of every registry: change keys at most once per release.
  const rows = [
    [
      'hello',
      { strategy: 'stable', maxLayers: 120 },
      'aa249e9fbdfdf767a27ed8519e8264442ce2a2c1d1c2cee1d5441fc2973fa15b',
      'afce954e48fa026fcc0b4864858cbf1800c1ac4602df3ab40089fd9a405f0155',
      '0b7481c403167cf12c888ae3207ad695e3329163216083f9250844278fac98fb',
    ],
    [
      'shell/hello',
      { strategy: 'stable', maxLayers: 120 },
      '631146bcd2071191c2a506ac0af20eb9fef25db622eb1ab0fe5a60f5604f3b1c',
      '3f8d724492062432a392ffd9da6cb0713a156eda91bd1504dd1538b025232278',
      '73a6886de05e07c362320f26d6222c9a33d6ac6eef3e98ddea651134483fd190',
    ],
    [
      'arm64/hello',
      { strategy: 'stable', maxLayers: 120 },
      'ad11c008ac75d2085c6d594a94165dd1d199fa33ad63ca84e3c871757e1eac40',
      'd10a9584a6b723d55557f8f52b9d3cf247965855c1407f4951c221aa27899406',
      '1cdfa433d7589ce230d0f7d4669f63094e9fb88681e98bb8098516a9f0f8c9de',
    ],
    [
      'arm64/shell/hello',
      { strategy: 'nixery', maxLayers: 64 },
      '393eb089a88282c865bef9e85f848757033538fbee51ee3dd874f5aeb6e7e8a1',
      'ca91993148b3e37b74fb2fa26f3f55aa6ab26e1d4a877735a1f2419abf1a6ea4',
      '15c56c5a54a8ffbe28070c33f3f9bb64a54841d3ce30ea4357ebcf906e1317ad',
    ],
  ] as const
  for (const [name, options, key, config, manifest] of rows) {
    it(`of ${name} have not changed`, async () => {
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

  it('depend on the commit if images state it', async () => {
    const specWithCommit = (id: string): ImageSpec => {
      const request = parseImageReference('hello')
      const commit = { id, created: '2026-01-31T12:00:00Z', source: 'https://example.org/packages' }
      return specOf(
        request,
        { revision: 'r', commit, packages, recipe: { packages: [] } },
        { env: environment },
      )
    }
    const keys = [specFor('hello'), specWithCommit('a'.repeat(40)), specWithCommit('b'.repeat(40))].map(
      keyOfSpec,
    )
    assert.equal(new Set(keys).size, 3)
    const texts: string[] = []
    const blobs = {
      publish: async (_: unknown, content: object) =>
        void ('bytes' in content && texts.push(String(content.bytes))),
    } as Partial<Blobs> as Blobs
    await publishImage(blobs, specWithCommit('a'.repeat(40)), [])
    const prefix = 'org.opencontainers.image.'
    const labels = {
      [`${prefix}title`]: 'hello',
      [`${prefix}version`]: '2.12',
      [`${prefix}licenses`]: 'MIT',
      [`${prefix}created`]: '2026-01-31T12:00:00Z',
      [`${prefix}revision`]: 'a'.repeat(40),
      [`${prefix}source`]: 'https://example.org/packages',
    }
    const [config, docker, oci] = texts.map((text) => JSON.parse(text) as Record<string, unknown>)
    assert.equal(config?.['created'], '2026-01-31T12:00:00Z')
    assert.deepEqual(config?.['config'], { Env: environment, Labels: labels })
    assert.deepEqual([docker?.['annotations'], oci?.['annotations']], [undefined, labels])
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

it('a spec is plain data that describes everything in an image', () => {
  const spec = specFor('arm64/shell/hello:v1', 'r1')
  assert.deepEqual(JSON.parse(JSON.stringify(spec)), spec)
  assert.deepEqual(spec.sets, [{ tag: 'v1', revision: 'r1' }])
  assert.deepEqual(spec.links, [hello, cacert])
  assert.deepEqual(spec.config, {
    env: environment,
    labels: {
      'org.opencontainers.image.title': 'hello',
      'org.opencontainers.image.version': '2.12',
      'org.opencontainers.image.licenses': 'MIT',
    },
    cmd: ['bash'],
  })
})
