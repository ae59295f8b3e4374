import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openRepository, type Repository } from '../../test/support/repository.ts'
import { hasCode } from '../errors.ts'
import { checkOut, mirrorRefs, refsReaching, updateMirror, type Mirror } from './mirror.ts'
import type { RunOptions } from './process.ts'

let parent: string
before(async () => {
  parent = await mkdtemp(join(tmpdir(), 'nixery-mirror-'))
})
after(() => rm(parent, { recursive: true, force: true }))

const options: RunOptions = {
  environment: process.env as Record<string, string>,
  timeout: 300_000,
  group: true,
}
let mirrors = 0
const mirrorOf = ({ url }: Pick<Repository, 'url'>, more: Partial<Mirror> = {}): Mirror => ({
  folder: join(parent, `mirror-${(mirrors += 1)}`),
  url,
  refs: ['refs/heads/*', 'refs/tags/*'],
  commitsOnly: false,
  limit: 1e9,
  ...more,
})
const text = (content: string) => (folder: string) => writeFile(join(folder, 'text'), content)

/** With a commit that only a pull request reaches, as on forges. */
async function repositoryWithPullRequest() {
  const repository = await openRepository(parent)
  const main = await repository.commit(text('main'))
  await repository.git('checkout', '--quiet', '-b', 'theirs')
  const theirs = await repository.commit(text('theirs'))
  await repository.git('update-ref', 'refs/pull/1/head', theirs)
  await repository.git('checkout', '--quiet', 'trunk')
  await repository.git('branch', '--quiet', '-D', 'theirs')
  // Forges serve any commit that is requested by its id.
  await repository.git('config', 'uploadpack.allowAnySHA1InWant', 'true')
  await repository.git('config', 'uploadpack.allowFilter', 'true')
  return { repository, main, theirs }
}

describe('a mirror of a git repository', () => {
  it('has branches, peeled tags and HEAD, and removes deleted and force-pushed refs', async () => {
    const repository = await openRepository(parent)
    const first = await repository.commit(text('one'))
    await repository.git('tag', '-a', 'v1', '-m', 'annotated')
    await repository.git('tag', '-a', 'v2', 'v1', '-m', 'a tag of a tag')
    await repository.git('branch', 'x')
    const second = await repository.commit(text('two'))
    const mirror = mirrorOf(repository)
    await updateMirror(mirror, options)
    assert.deepEqual(Object.fromEntries(await mirrorRefs(mirror.folder, options)), {
      HEAD: second,
      'refs/heads/trunk': second,
      'refs/heads/x': first,
      'refs/tags/v1': first,
      'refs/tags/v2': first,
    })
    assert.deepEqual(await refsReaching(mirror.folder, second, options), ['refs/heads/trunk'])

    await repository.git('branch', '-D', 'x')
    await repository.git('branch', 'x/y', second) // a folder in place of an earlier file
    await repository.git('reset', '--hard', '--quiet', first)
    await updateMirror(mirror, options)
    assert.deepEqual(await refsReaching(mirror.folder, second, options), ['refs/heads/x/y'])
    await repository.git('branch', '-D', 'x/y')
    await updateMirror(mirror, options)
    assert.deepEqual(await refsReaching(mirror.folder, second, options), [])
  })

  for (const commitsOnly of [false, true]) {
    it(`${commitsOnly ? 'of commits only ' : ''}never fetches a commit that is only asked about`, async () => {
      const { repository, main, theirs } = await repositoryWithPullRequest()
      const mirror = mirrorOf(repository, { commitsOnly })
      await updateMirror(mirror, options)
      await updateMirror(mirror, options)
      assert.deepEqual(await refsReaching(mirror.folder, theirs, options), [])
      assert.deepEqual(await refsReaching(mirror.folder, theirs, options), [])
      assert.deepEqual(await refsReaching(mirror.folder, main, options), ['refs/heads/trunk'])
    })
  }

  it('of commits only works where the server sends everything', async () => {
    const { repository, main, theirs } = await repositoryWithPullRequest()
    await repository.git('config', 'uploadpack.allowFilter', 'false')
    const mirror = mirrorOf(repository, { commitsOnly: true })
    await updateMirror(mirror, options)
    assert.deepEqual(await refsReaching(mirror.folder, main, options), ['refs/heads/trunk'])
    assert.deepEqual(await refsReaching(mirror.folder, theirs, options), [])
  })

  it('follows a shallow repository, an empty one, and one whose HEAD names nothing', async () => {
    const full = await openRepository(parent)
    await full.commit(text('one'))
    const tip = await full.commit(text('two'))
    const shallow = await openRepository(parent)
    await shallow.git('fetch', '--quiet', '--depth=1', full.url, 'trunk:refs/heads/main')
    const mirror = mirrorOf(shallow)
    await updateMirror(mirror, options)
    assert.deepEqual([...(await mirrorRefs(mirror.folder, options))], [['refs/heads/main', tip]])
    assert.deepEqual(await refsReaching(mirror.folder, tip, options), ['refs/heads/main'])

    const empty = mirrorOf(await openRepository(parent))
    await updateMirror(empty, options)
    assert.equal((await mirrorRefs(empty.folder, options)).size, 0)
  })

  it('is recreated if it is damaged, and leftover locks are removed', async () => {
    const repository = await openRepository(parent)
    await repository.commit(text('one'))
    const mirror = mirrorOf(repository)
    await updateMirror(mirror, options)
    const lock = join(mirror.folder, 'refs/source/heads/trunk.lock')
    await mkdir(dirname(lock), { recursive: true })
    await writeFile(lock, '')
    const second = await repository.commit(text('two'))
    await assert.rejects(updateMirror(mirror, options), (error) => hasCode(error, 'SOURCE_UNREACHABLE'))
    await utimes(lock, 0, 0)
    await updateMirror(mirror, options)
    assert.deepEqual(await refsReaching(mirror.folder, second, options), ['refs/heads/trunk'])

    await rm(join(mirror.folder, 'objects'), { recursive: true })
    await mkdir(join(mirror.folder, 'objects'))
    const third = await repository.commit(text('three'))
    await updateMirror(mirror, options)
    assert.deepEqual(await refsReaching(mirror.folder, third, options), ['refs/heads/trunk'])
  })

  it('is aborted if the repository is too large, and leaves nothing behind', async () => {
    const repository = await openRepository(parent)
    await repository.commit((folder) =>
      writeFile(join(folder, 'big'), Buffer.alloc(3e6, Math.random().toString())),
    )
    // A server that never finishes: it sends part of a response, and then waits.
    const helper = join(parent, 'upload-pack')
    await writeFile(helper, '#!/bin/sh\ngit-upload-pack "$@" || git upload-pack "$@"\nsleep 600\n', {
      mode: 0o755,
    })
    const mirror = mirrorOf(repository, { limit: 1 })
    const environment = {
      ...options.environment,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'remote.origin.uploadpack',
      GIT_CONFIG_VALUE_0: helper,
    }
    await assert.rejects(updateMirror(mirror, { ...options, environment }), (error) =>
      hasCode(error, 'SOURCE_UNREACHABLE'),
    )
    assert.deepEqual(await readdir(mirror.folder).catch(() => []), [])
  })

  it('writes the files of a commit without running programs of the repository', async () => {
    const repository = await openRepository(parent)
    const commit = await repository.commit(async (folder) => {
      await writeFile(join(folder, 'tool'), 'x', { mode: 0o755 })
      await writeFile(join(folder, '.gitattributes'), '* filter=evil\n')
    })
    const mirror = mirrorOf(repository)
    await updateMirror(mirror, options)
    const into = join(parent, 'out')
    await checkOut({ mirror: mirror.folder, commit, into }, options)
    assert.deepEqual((await readdir(into)).sort(), ['.gitattributes', 'tool'])
  })

  it('of commits only is complete if the server serves plain files', async () => {
    const { repository, main } = await repositoryWithPullRequest()
    await repository.git('update-server-info')
    const server = createServer((request, response) => {
      const path = new URL(request.url ?? '', 'http://localhost').pathname
      const file = createReadStream(join(repository.folder, '.git', path))
      file.once('error', () => response.writeHead(404).end())
      file.once('open', () => file.pipe(response))
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const { port } = server.address() as AddressInfo
    const mirror = mirrorOf({ url: `http://127.0.0.1:${port}/` }, { commitsOnly: true })
    try {
      await updateMirror(mirror, { ...options, timeout: 120_000 })
      assert.deepEqual(await refsReaching(mirror.folder, main, options), ['refs/heads/trunk'])
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
