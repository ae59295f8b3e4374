import assert from 'node:assert/strict'
import { appendFile, mkdir, readdir, readFile, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { systemErrorCode } from '../../src/errors.ts'
import { digestOf } from '../../src/image/digest.ts'
import { makeReadOnly, makeWritable } from '../support/disk.ts'
import { failureOf, openWorkspace, type Workspace } from '../support/workspace.ts'
import { until } from '../support/until.ts'
import { isHttpError, pullImage, pullManifest, type PulledImage } from './puller.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

/** Fills a disk until `free` bytes are left. */
async function fill(disk: string, free: number): Promise<void> {
  const ballast = join(disk, 'ballast')
  await rm(ballast, { force: true })
  const { bavail, bsize } = await statfs(disk)
  await writeFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - free))).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOSPC') throw error // the disk is already full
  })
  // Fill blocks that the catalog has freed in the meantime, too.
  if (free > 0) return
  for (;;) {
    try {
      await appendFile(ballast, Buffer.alloc(512))
    } catch (error) {
      if (systemErrorCode(error) === 'ENOSPC') return
      throw error
    }
  }
}
const makeRoom = (disk: string) => rm(join(disk, 'ballast'))

const page = 4096 // the allocation unit of tmpfs

describe('a disk of blobs that is full', () => {
  it('at any step of packing and publishing fails the pull with 507 and leaves nothing incomplete', async () => {
    const disk = await workspace.mountSmallDisk(4)
    const store = join(disk, 'store')
    const steps = 14
    const set = await workspace.packageSet(
      Array.from({ length: steps }, (_, n) => `small${n} = script "small${n}" "echo ${n}";`).join('\n'),
    )
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, STORAGE_PATH: store })
    const statuses: number[] = []
    const complete = new Map<string, PulledImage>()
    for (let n = 0; n < steps; n += 1) {
      await fill(disk, n * page)
      const name = `small${n}`
      try {
        complete.set(name, await pullImage(server.address, name))
        statuses.push(200)
      } catch (error) {
        if (!isHttpError(error)) throw error
        assert.match(error.message, /storage is full/)
        statuses.push(error.status)
      }
      // The packing of other layers of the image may still be cleaning up.
      await until(
        async () => (await readdir(join(store, 'staging'))).length === 0,
        'no unfinished files are left',
      )
      for (const blob of await readdir(join(store, 'layers'))) {
        assert.equal(digestOf(await readFile(join(store, 'layers', blob))), `sha256:${blob}`)
      }
    }
    assert.deepEqual(
      [...new Set(statuses)].toSorted((a, b) => a - b),
      [200, 507],
    )
    await makeRoom(disk)
    for (let n = 0; n < steps; n += 1) {
      const image = await pullImage(server.address, `small${n}`)
      assert.deepEqual(image, complete.get(`small${n}`) ?? image)
    }
  })
})

describe('a disk of the catalog that is full', () => {
  /** Mounts an ext4 file system, on which folders use space; on tmpfs they do not. */
  const mountDisk = async (megabytes: number): Promise<string> => {
    const image = join(workspace.folder, 'disk.img')
    await writeFile(image, '')
    await truncate(image, megabytes * 1_000_000)
    await execa('mkfs.ext4', ['-q', '-m', '0', image], {
      env: { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
    })
    const path = join(workspace.folder, 'disk')
    await mkdir(path)
    await execa('mount', ['-o', 'loop', image, path])
    mounted.push(path)
    return path
  }
  const mounted: string[] = []
  after(async () => {
    for (const path of mounted) await execa('umount', ['--lazy', path])
  })

  const others = Array.from({ length: 10 }, (_, n) => `other${n}`)
  /**
   * Fills the disk, and requests new images until one is refused. A write of the catalog that fails frees what it had
   * reserved, which can happen after the disk has been filled; that space may suffice for one build.
   */
  const firstRefused = async (disk: string, address: string, hello: PulledImage): Promise<string> => {
    for (const name of others) {
      await fill(disk, 0)
      assert.deepEqual(await pullImage(address, 'hello'), hello)
      await pullManifest(address, 'any', hello.digest)
      try {
        await pullImage(address, name)
      } catch (error) {
        if (!isHttpError(error)) throw error
        assert.equal(error.status, 503)
        // Builds need garbage collector roots, which need space.
        assert.match(error.message, /folder of garbage collector roots is not writable/)
        return name
      }
    }
    return assert.fail('every build succeeded on a full disk')
  }

  it('does not affect known images, and is used again when there is space', async () => {
    const disk = await mountDisk(16)
    const store = join(workspace.folder, 'store elsewhere')
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi";
      third = run "third" "mkdir -p $out/bin; echo \${hello} > $out/bin/third";
      ${others.map((name) => `${name} = script "${name}" "echo ho";`).join('\n')}
    `)
    const data = join(disk, 'data')
    const environment = { NIXERY_PKGS_PATH: set, NIXERY_DATA: data, STORAGE_PATH: store }
    const server = await workspace.serve(environment)
    const hello = await pullImage(server.address, 'hello')

    const refused = await firstRefused(disk, server.address, hello)
    assert.deepEqual(await pullImage(server.address, 'hello'), hello)

    await makeRoom(disk)
    const other = await pullImage(server.address, refused)
    await sleep(100)
    assert.equal(await server.stop(), 0)

    const restarted = await workspace.serve(environment)
    for (const { digest } of [hello, other]) await pullManifest(restarted.address, 'any', digest)
    await pullImage(restarted.address, 'third')
  })
})

describe('a disk of blobs that becomes read-only', () => {
  it('serves known images, refuses the rest with 503, and recovers when it is writable again', async () => {
    const disk = await workspace.mountSmallDisk(16)
    const set = await workspace.packageSet(`
      hello = script "hello" "echo hi";
      other = script "other" "echo ho";
    `)
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set, STORAGE_PATH: join(disk, 'store') })
    const hello = await pullImage(server.address, 'hello')
    await makeReadOnly(disk)
    assert.deepEqual(await pullImage(server.address, 'hello'), hello)
    await pullManifest(server.address, 'any', hello.digest)
    const failure = await failureOf(server, 'other')
    assert.equal(failure.status, 503)
    assert.match(failure.message, /storage failed/)
    await makeWritable(disk)
    await pullImage(server.address, 'other')
    assert.deepEqual(await pullImage(server.address, 'hello'), hello)
  })
})
