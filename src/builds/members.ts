import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Catalog, Member, MemberKey } from '../catalog/catalog.ts'
import { hasCode } from '../errors.ts'
import { MemberGone } from '../layers/pack.ts'
import type { Blobs } from './blobs.ts'

/** Bytes of a file on this machine. */
export type LocalMember = { readonly file: string; readonly offset: number; readonly length: number }

/** Members that were made for other layers, to be copied from. */
export type OpenMembers = {
  /** By key; not there are those that are not known, or whose blob is not whole. */
  readonly members: ReadonlyMap<MemberKey, LocalMember>
  /** One of them is not what it should be: their blobs are hashed before they are believed again. */
  doubt(): Promise<void>
  /** Removes what was copied here. */
  release(): Promise<void>
  /** The failure that says that some are not there. */
  gone(): Error
}

/** Finds members, and brings those of a remote store to this machine. */
export async function openMembers(
  { catalog, blobs }: { readonly catalog: Pick<Catalog, 'members'>; readonly blobs: Blobs },
  keys: readonly MemberKey[],
): Promise<OpenMembers> {
  const known = await catalog.members(keys)
  const members = new Map<MemberKey, LocalMember>()
  const copies: string[] = []
  await Promise.all(
    Array.from(known, async ([key, member]) => {
      const size = await blobs.find(member.digest)
      if (size === undefined || member.offset + member.length > size) return
      const file = blobs.file(member.digest)
      if (file !== undefined) {
        members.set(key, { file, offset: member.offset, length: member.length })
        return
      }
      const copy = join(blobs.spoolDirectory, randomUUID())
      copies.push(copy)
      if (await fetched(blobs, member, copy))
        members.set(key, { file: copy, offset: 0, length: member.length })
    }),
  )
  return {
    members,
    gone: () => new MemberGone(),
    async doubt() {
      await Promise.all(
        [...new Set([...known.values()].map(({ digest }) => digest))].map((digest) => blobs.doubt(digest)),
      )
    },
    async release() {
      await Promise.all(copies.map((copy) => rm(copy, { force: true })))
    },
  }
}

async function fetched(blobs: Blobs, { digest, offset, length }: Member, file: string): Promise<boolean> {
  try {
    const bytes = await blobs.read(digest, { start: offset, end: offset + length })
    await pipeline(bytes, createWriteStream(file, { flags: 'wx' }))
    return true
  } catch (error) {
    if (hasCode(error, 'BLOB_UNKNOWN')) return false // removed meanwhile
    throw error
  }
}
