import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Catalog, Member, MemberKey } from '../catalog/catalog.ts'
import { hasCode } from '../errors.ts'
import { MemberGone } from '../layers/pack.ts'
import type { Blobs } from './blobs.ts'

/** A range of a local file. */
export type LocalMember = { readonly file: string; readonly offset: number; readonly length: number }

/** Members of other layers, as local files. */
export type OpenMembers = {
  /** By key, without unknown members and those of incomplete blobs. */
  readonly members: ReadonlyMap<MemberKey, LocalMember>
  /** Called when a member is damaged: all blobs are hashed before they are used again. */
  doubt(): Promise<void>
  /** Removes downloaded files. */
  release(): Promise<void>
  /** The error for missing members. */
  gone(): Error
}

/** Looks up members, and downloads those of a remote store. */
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
      if (await download(blobs, member, copy))
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

async function download(blobs: Blobs, { digest, offset, length }: Member, file: string): Promise<boolean> {
  try {
    const bytes = await blobs.read(digest, { start: offset, end: offset + length })
    await pipeline(bytes, createWriteStream(file, { flags: 'wx' }))
    return true
  } catch (error) {
    if (hasCode(error, 'BLOB_UNKNOWN')) return false // it has been removed
    throw error
  }
}
