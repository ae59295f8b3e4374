import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { canonicalJson, type Json } from './canonical.ts'
import { digestOf } from './digest.ts'
import {
  composeConfig,
  composeIndex,
  composeManifest,
  mediaTypes,
  type Layer,
  type ManifestForm,
} from './oci.ts'
import { amd64, arm64 } from './platform.ts'

const layerOf = (text: string): Layer => ({
  digest: digestOf(text),
  diffId: digestOf(`${text} uncompressed`),
  size: text.length,
  compression: 'gzip',
})
const [first, second] = [layerOf('first'), layerOf('the second')]
const commented = [
  { layer: first, comment: 'bash' },
  { layer: second, comment: 'links to "bash"\n' },
]
const described = (form: ManifestForm, { digest, size, compression }: Layer) => ({
  mediaType: mediaTypes[form].layer[compression],
  digest,
  size,
})
const config = { digest: digestOf('config'), size: 2 ** 33 }

describe('composeConfig', () => {
  const created = '1970-01-01T00:00:01Z'

  it('contains platform, environment, layers and their history', () => {
    assert.deepEqual(JSON.parse(composeConfig(amd64, commented, { env: ['PATH=/bin'], cmd: ['bash'] })), {
      architecture: 'amd64',
      os: 'linux',
      created,
      config: { Env: ['PATH=/bin'], Cmd: ['bash'] },
      rootfs: { type: 'layers', diff_ids: [first.diffId, second.diffId] },
      history: [
        { created, created_by: 'nixery', comment: 'bash' },
        { created, created_by: 'nixery', comment: 'links to "bash"\n' },
      ],
    })
  })

  it('contains no command if there is none', () => {
    const { architecture, config: run } = JSON.parse(composeConfig(arm64, [], { env: [] })) as {
      architecture: string
      config: object
    }
    assert.equal(architecture, 'arm64')
    assert.deepEqual(run, { Env: [] })
  })
})

describe('composeManifest', () => {
  const dockerType = 'application/vnd.docker'
  const rows = [
    [
      'docker',
      `${dockerType}.distribution.manifest.v2+json`,
      `${dockerType}.container.image.v1+json`,
      `${dockerType}.image.rootfs.diff.tar.gzip`,
    ],
    [
      'oci',
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.oci.image.config.v1+json',
      'application/vnd.oci.image.layer.v1.tar+gzip',
    ],
  ] as const
  const layerTypes = {
    docker: ['tar.gzip', 'tar', 'tar'].map((end) => `${dockerType}.image.rootfs.diff.${end}`),
    oci: ['tar+gzip', 'tar+zstd', 'tar'].map((end) => `application/vnd.oci.image.layer.v1.${end}`),
  }
  for (const [form, manifestType, configType, layerType] of rows) {
    it(`in ${form} format has that format’s types, and the layers in order`, () => {
      assert.deepEqual(
        JSON.parse(composeManifest(form, config, [described(form, second), described(form, first)])),
        {
          schemaVersion: 2,
          mediaType: manifestType,
          config: { mediaType: configType, ...config },
          layers: [
            { mediaType: layerType, digest: second.digest, size: second.size },
            { mediaType: layerType, digest: first.digest, size: first.size },
          ],
        },
      )

      it(`in ${form} format declares the compression of each layer`, () => {
        const layers = (['gzip', 'zstd', 'none'] as const).map((compression) => ({ ...first, compression }))
        const { layers: said } = JSON.parse(
          composeManifest(
            form,
            config,
            layers.map((layer) => described(form, layer)),
          ),
        ) as {
          layers: { mediaType: string }[]
        }
        assert.deepEqual(
          said.map(({ mediaType }) => mediaType),
          layerTypes[form],
        )
      })
    })
  }
})

describe('annotations', () => {
  const own = { 'org.example.layer': 'a' }
  const composed = (form: ManifestForm, annotations: Record<string, string>, layer: Record<string, string>) =>
    composeManifest(form, config, [{ ...described(form, first), annotations: layer }], annotations)

  it('of manifests, layers and indexes are in OCI’s format', () => {
    const manifest = JSON.parse(composed('oci', { whole: 'b' }, own)) as {
      annotations: object
      layers: { annotations: object }[]
    }
    assert.deepEqual(manifest.annotations, { whole: 'b' })
    assert.deepEqual(manifest.layers[0]?.annotations, own)
    const index = JSON.parse(composeIndex('oci', [{ ...config, platform: amd64 }], own)) as object
    assert.deepEqual({ ...index }, { ...index, annotations: own })
  })

  it('change nothing if there are none, or in Docker’s format', () => {
    for (const form of ['docker', 'oci'] as const) {
      const without = composeManifest(form, config, [described(form, first)])
      assert.equal(composed(form, {}, {}), without)
    }
    const docker = composeManifest('docker', config, [described('docker', first)])
    assert.equal(composed('docker', { whole: 'b' }, own), docker)
    const index = composeIndex('docker', [{ ...config, platform: amd64 }])
    assert.equal(composeIndex('docker', [{ ...config, platform: amd64 }], own), index)
  })
})

describe('composeIndex', () => {
  const index = 'application/vnd.oci.image.index.v1+json'
  const manifest = 'application/vnd.oci.image.manifest.v1+json'
  const list = 'application/vnd.docker.distribution.manifest.list.v2+json'
  const schema2 = 'application/vnd.docker.distribution.manifest.v2+json'
  for (const [form, mediaType, manifestType] of [
    ['docker', list, schema2],
    ['oci', index, manifest],
  ] as const) {
    it(`in ${form} format has that format’s types, and OCI’s names of the platforms`, () => {
      const manifests = [
        { digest: first.digest, size: 1, platform: arm64 },
        { digest: second.digest, size: 2, platform: amd64 },
      ]
      assert.deepEqual(JSON.parse(composeIndex(form, manifests)), {
        schemaVersion: 2,
        mediaType,
        manifests: [
          {
            mediaType: manifestType,
            digest: first.digest,
            size: 1,
            platform: { os: 'linux', architecture: 'arm64' },
          },
          {
            mediaType: manifestType,
            digest: second.digest,
            size: 2,
            platform: { os: 'linux', architecture: 'amd64' },
          },
        ],
      })
    })
  }
})

describe('the composed JSON', () => {
  const texts = () => [
    composeConfig(amd64, commented, { env: ['A=b'], cmd: ['sh'] }),
    composeManifest('docker', config, [described('docker', first)]),
    composeManifest('oci', config, [described('oci', first)]),
    composeIndex('oci', [{ ...config, platform: amd64 }]),
  ]

  it('is canonical, and the same each time', () => {
    for (const text of texts()) assert.equal(canonicalJson(JSON.parse(text) as Json), text)
    assert.deepEqual(texts(), texts())
  })

  const one = composeConfig(amd64, commented, { env: [] })
  const others: [what: string, text: string][] = [
    ['platform', composeConfig(arm64, commented, { env: [] })],
    ['environment', composeConfig(amd64, commented, { env: ['A=b'] })],
    ['command', composeConfig(amd64, commented, { env: [], cmd: [] })],
    ['entry point', composeConfig(amd64, commented, { env: [], entrypoint: [] })],
    ['user', composeConfig(amd64, commented, { env: [], user: '1000' })],
    ['working directory', composeConfig(amd64, commented, { env: [], workdir: '/' })],
    ['labels', composeConfig(amd64, commented, { env: [], labels: {} })],
    ['order of layers', composeConfig(amd64, commented.toReversed(), { env: [] })],
    ['number of layers', composeConfig(amd64, commented.slice(1), { env: [] })],
  ]
  for (const [what, text] of others) {
    it(`is a different config for a different ${what}`, () => assert.notEqual(text, one))
  }
})
