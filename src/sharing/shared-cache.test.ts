import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createSigner, pathOf } from '../contents/cache/testing.ts'
import { failsWith } from '../store/testing.ts'
import { folderObjects } from '../store/folder-objects.ts'
import { ofBlobs } from '../store/store.ts'
import { parseSharedCache } from './address.ts'
import { describeSharedCache } from './conformance.ts'
import { firstRecorded, type Decisions } from './first.ts'
import { openSigningKey } from './key.ts'

let folder: string
let count = 0
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-shared-'))
})
after(() => rm(folder, { recursive: true }))

describeSharedCache('a shared cache in a folder', () =>
  folderObjects(join(folder, `c${(count += 1)}`), ofBlobs),
)

describe('firstRecorded', () => {
  it('creates what another worker has recorded, unless its bytes are gone', async () => {
    const objects = await folderObjects(join(folder, 'recorded'), ofBlobs)
    const rows = new Map<string, string>()
    const decisions: Decisions = {
      async first(path, text) {
        if (!rows.has(path)) rows.set(path, text)
        return rows.get(path) ?? ''
      },
      async replace(path, gone, text) {
        if (rows.get(path) === gone) rows.set(path, text)
        return rows.get(path) ?? ''
      },
    }
    const first = firstRecorded(decisions, objects)
    const { signal } = new AbortController()
    const signer = createSigner('key')
    const [mine, theirs] = ['mine', 'theirs'].map((nar) => {
      const url = `nar/${nar}.nar`
      return { nar, url, text: signer.narinfo(pathOf('lib'), Buffer.from(nar), { url }) }
    }) as [Nar, Nar]
    const path = pathOf('lib')
    const read = async () => String(await objects.read(`${path.slice(11, 43)}.narinfo`, 10_000))
    // The other worker was killed after it had recorded the path, and the bucket was emptied since.
    rows.set(path, theirs.text)
    const other = pathOf('other')
    const otherText = signer.narinfo(other, Buffer.from('theirs'), { url: theirs.url })
    rows.set(other, otherText)
    assert.equal(await first(path, mine.text, signal), mine.text)
    assert.equal(await read(), mine.text)
    const file = join(folder, 'theirs')
    await writeFile(file, theirs.nar)
    await objects.upload(theirs.url, { size: theirs.nar.length, mediaType: 'x' }, file)
    assert.equal(await first(other, mine.text, signal), otherText)
    // What is in the cache wins, whatever is recorded later.
    rows.delete(path)
    assert.equal(await first(path, theirs.text, signal), mine.text)
  })
})
type Nar = { readonly nar: string; readonly url: string; readonly text: string }

describe('openSigningKey', () => {
  it('makes a key once, for its owner only', async () => {
    const file = join(folder, 'new', 'key')
    const made = await Promise.all(Array.from({ length: 4 }, () => openSigningKey(file, false)))
    assert.equal(new Set(made.map(({ publicText }) => publicText)).size, 1)
    assert.match(made[0]?.publicText ?? '', /^nixery-[0-9a-f]{8}:[A-Za-z0-9+/]{43}=$/)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.equal((await openSigningKey(file, true)).publicText, made[0]?.publicText)
  })

  it('refuses a file that is missing or is no key', async () => {
    await failsWith('CONFIG_INVALID', openSigningKey(join(folder, 'missing'), true))
    const key = Buffer.alloc(64).toString('base64')
    for (const text of ['', 'name', `:${key}`, `name:${key}`, 'name:YWJj', `name:${key}${key}`]) {
      const file = join(folder, `bad-${(count += 1)}`)
      await writeFile(file, text)
      await failsWith('CONFIG_INVALID', openSigningKey(file, true))
    }
  })
})

describe('parseSharedCache', () => {
  it('reads buckets and folders, and nothing else', () => {
    assert.deepEqual(parseSharedCache('file:///srv/a%20b'), {
      kind: 'file',
      href: 'file:///srv/a%20b/',
      folder: '/srv/a b/',
    })
    assert.deepEqual(parseSharedCache('s3://nix?region=eu-1&endpoint=http://127.0.0.1:9000'), {
      kind: 's3',
      href: 's3://nix/',
      bucket: 'nix',
      endpoint: 'http://127.0.0.1:9000',
      region: 'eu-1',
    })
    assert.deepEqual(parseSharedCache('gs://nix/'), { kind: 'gs', href: 'gs://nix/', bucket: 'nix' })
    for (const text of [
      'nix',
      '/srv',
      'https://cache.example.org',
      's3://',
      's3://nix/folder',
      's3://me:secret@nix',
      's3://nix?secret=x',
      's3://nix?endpoint=127.0.0.1',
      'gs://nix?region=x',
      'file://host/srv',
      'file:///srv?region=x',
    ])
      assert.equal(parseSharedCache(text), undefined, text)
  })
})
