import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { Header } from 'tar'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { amd64 } from '../image/platform.ts'
import { parseDestination } from './destination.ts'
import { exportImage } from './export.ts'
import type { Chunks } from '../fs/replace-file.ts'
import { layoutFiles, type ExportImage, type LayoutFile } from './layout.ts'
import { parseArchiveName } from './name.ts'
import { tarOf } from './tar.ts'
import { verifiedReader, type Descriptor } from './verified.ts'

const blobs = new Map<string, Buffer>()
const partOf = (bytes: Buffer): Descriptor => {
  const digest = digestOf(bytes)
  blobs.set(digest, bytes)
  return { digest, size: bytes.length }
}
const read = verifiedReader(
  (digest) => Promise.resolve(Readable.from([blobs.get(digest)])),
  () => Promise.resolve(),
)
const imageOf = (name: string, ...sizes: number[]): ExportImage => ({
  name: parseArchiveName(name),
  platform: amd64,
  manifest: partOf(Buffer.from(`manifest of ${name}`)),
  config: partOf(Buffer.from(`config of ${name}`)),
  layers: sizes.map((size) => partOf(randomBytes(size))),
})

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-export-'))
})
after(() => rm(folder, { recursive: true }))

const options = { read, progress: () => {} }
const write = (image: ExportImage, to: string, more = {}) =>
  exportImage(image, parseDestination(to), { ...options, ...more })

describe('an archive', () => {
  const image = imageOf('a/b:c', 10, 512, 1_500_000)

  it('has the same bytes each time, in a file and on a stream', async () => {
    const [one, two] = [join(folder, 'one.tar'), join(folder, 'two.tar')]
    await write(image, `docker-archive:${one}`)
    await write(image, `docker-archive:${two}`)
    let streamed = Buffer.alloc(0)
    await write(image, 'docker-archive:-', {
      writeStdout: async (chunks: Chunks) => {
        streamed = await buffer(Readable.from(chunks))
      },
    })
    assert.deepEqual(await readFile(two), await readFile(one))
    assert.deepEqual(streamed, await readFile(one))
    assert.equal(streamed.length % 10_240, 0)
  })

  it('contains every blob, and reports progress', async () => {
    const file = join(folder, 'all.tar')
    let done = 0
    await write(image, `oci-archive:${file}`, {
      progress: (now: number, total: number) => {
        assert.ok(now >= done && now <= total)
        done = now
      },
    })
    assert.ok(done > 1_500_000)
    const { stdout } = await execa('tar', ['-tf', file])
    const names = stdout.split('\n')
    assert.deepEqual(names.toSorted(), names)
    assert.equal(names.filter((name) => /^blobs\/sha256\/[0-9a-f]{64}$/.test(name)).length, 5)
    for (const { digest } of [image.manifest, image.config, ...image.layers]) {
      const args = ['-xOf', file, `blobs/sha256/${digest.slice(7)}`]
      const content = await execa('tar', args, { encoding: 'buffer' })
      assert.equal(digestOf(content.stdout), digest)
    }
  })

  it('encodes sizes that do not fit in octal digits', async () => {
    const size = 9 * 1024 ** 3
    const { digest } = partOf(Buffer.alloc(0))
    const files: LayoutFile[] = [{ path: 'large', content: { blob: { digest, size } } }]
    const first = await tarOf(files, read).next()
    assert.equal(new Header(Buffer.from(first.value as Uint8Array), 0).size, size)
  })

  it('is not written from a damaged blob', async () => {
    const damaged = imageOf('a', 3_000_000)
    const [layer] = damaged.layers
    const file = join(folder, 'damaged.tar')
    let shownDigest = ''
    const faulty = verifiedReader(
      async (digest) => {
        const bytes = Buffer.from(blobs.get(digest) ?? '')
        if (digest === layer?.digest) bytes[1_000_000]! ^= 1 // oxlint-disable-line typescript/no-non-null-assertion
        return Readable.from([bytes.subarray(0, 2_000_000), bytes.subarray(2_000_000)])
      },
      (digest) => Promise.resolve((shownDigest = digest)),
    )
    await assert.rejects(write(damaged, `docker-archive:${file}`, { read: faulty }), (error) =>
      hasCode(error, 'STORE_UNAVAILABLE'),
    )
    assert.equal(shownDigest, layer?.digest)
    await assert.rejects(stat(file))
  })
})

describe('a file', () => {
  const parts = async () => (await readdir(folder)).filter((name) => name.endsWith('.part'))

  it('leaves no incomplete files of killed processes for longer than an hour', async () => {
    const [old, fresh] = [join(folder, '.x.1.part'), join(folder, '.x.2.part')]
    await writeFile(old, '')
    await writeFile(fresh, '')
    await utimes(old, 1, 1)
    await write(imageOf('x', 10), `docker-archive:${join(folder, 'x')}`)
    assert.deepEqual(await parts(), ['.x.2.part'])
    await rm(fresh)
  })
})

describe('a layout', () => {
  const names = async (layout: string) => {
    const { manifests } = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as {
      manifests: { digest: string; annotations: Record<string, string> }[]
    }
    return manifests.map(({ annotations }) => annotations['org.opencontainers.image.ref.name'] ?? '').sort()
  }

  it('has the same files each time', async () => {
    const image = imageOf('same', 100, 200)
    for (const each of ['first', 'second']) await write(image, `oci:${join(folder, each)}`)
    for (const { path } of layoutFiles(image)) {
      assert.deepEqual(
        await readFile(join(folder, 'first', path)),
        await readFile(join(folder, 'second', path)),
      )
    }
  })

  it('adds images, also concurrently, and replaces one with the same name', async () => {
    const layout = join(folder, 'shared')
    await write(imageOf('a', 100), `oci:${layout}`)
    const more = ['b', 'c', 'd', 'e', 'f'].map((name) => imageOf(name, 1000))
    await Promise.all(more.map((image) => write(image, `oci:${layout}`)))
    const expected = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `${name}:latest`)
    assert.deepEqual(await names(layout), expected)
    await write(imageOf('c', 77), `oci:${layout}`)
    assert.deepEqual(await names(layout), expected)
    assert.deepEqual((await readdir(layout)).toSorted(), ['blobs', 'index.json', 'oci-layout'])
  })

  it('can be created by several processes at the same time', async () => {
    const layout = join(folder, 'raced')
    const images = ['a', 'b', 'c', 'd'].map((name) => imageOf(name, 50_000))
    await Promise.all(images.map((image) => write(image, `oci:${layout}`)))
    assert.deepEqual(
      await names(layout),
      ['a', 'b', 'c', 'd'].map((name) => `${name}:latest`),
    )
  })

  it('keeps the entries of others in its index', async () => {
    const layout = join(folder, 'kept-fields')
    await write(imageOf('a', 10), `oci:${layout}`)
    const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as { manifests: object[] }
    Object.assign(index.manifests[0] ?? {}, { artifactType: 'x/y' })
    await writeFile(join(layout, 'index.json'), JSON.stringify(index))
    await write(imageOf('b', 10), `oci:${layout}`)
    assert.match(await readFile(join(layout, 'index.json'), 'utf8'), /"artifactType":"x\/y"/)
  })

  it('is not changed if its index is unreadable, and does not appear on failure', async () => {
    const layout = join(folder, 'odd')
    await write(imageOf('a', 10), `oci:${layout}`)
    await writeFile(join(layout, 'index.json'), 'odd')
    await assert.rejects(write(imageOf('b', 10), `oci:${layout}`), (error) =>
      hasCode(error, 'CONFIG_INVALID'),
    )
    assert.equal(await readFile(join(layout, 'index.json'), 'utf8'), 'odd')
    const abort = AbortSignal.abort()
    await assert.rejects(write(imageOf('b', 10), `oci:${join(folder, 'never')}`, { signal: abort }))
    const left = await readdir(folder)
    assert.ok(!left.some((name) => name.includes('never')), left.join())
  })
})
