import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { parseImageName } from '../image/name.ts'
import type { Image } from './image.ts'
import { createPulledEstimates } from './pulled-estimates.ts'

const part = (text: string) => ({ digest: digestOf(text), size: text.length })
const image = (...layers: string[]): Image => ({
  manifests: { oci: part('oci'), docker: part('docker') },
  config: part('config'),
  layers: layers.map(part),
})

describe('estimates from images that were pulled', () => {
  const rows = {
    git: [
      { tag: 'old', architecture: 'amd64', image: image('x') },
      { tag: 'latest', architecture: 'arm64', image: image('y') },
      { tag: 'latest', architecture: 'amd64', image: image('shared', 'git') },
    ],
    htop: [{ tag: 'latest', architecture: 'amd64', image: image('shared', 'htop') }],
  }
  const estimates = createPulledEstimates({
    catalog: {
      pulledImages: (name, _limit, parse) =>
        Promise.resolve(
          Object.entries(rows)
            .flatMap(([of, all]) => (of === name ? all : []))
            .flatMap(({ image: value, ...row }) => {
              const read = parse(JSON.stringify(value))
              return read === undefined ? [] : [{ ...row, image: read, pulledAt: 1, pulls: 1 }]
            }),
        ),
      mostPulled: () =>
        Promise.resolve(
          ['htop', 'not a name', 'git'].map((repository) => ({ repository, tag: 'latest', pulls: 1 })),
        ),
    },
    parse: (name) => parseImageName(name),
  })

  it('are the layers of the same name and platform', async () => {
    const { layers, unknown } = await estimates.of(parseImageName('git'))
    assert.deepEqual(
      layers?.map(({ packed }) => packed),
      [part('shared'), part('git')],
    )
    assert.deepEqual(unknown, [])
    const other = await estimates.of(parseImageName('git/htop'))
    assert.deepEqual([other.layers, other.unknown], [undefined, ['git/htop']])
  })

  it('know the layers of popular images', async () => {
    const popular = await estimates.popular()
    assert.deepEqual(
      popular.map(({ layers }) => layers.has(digestOf('shared'))),
      [true, true],
    )
  })
})
