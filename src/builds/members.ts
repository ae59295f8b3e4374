import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Member, MemberKey } from '../catalog/catalog.ts'
import { hasCode } from '../errors.ts'
import { MemberGone } from '../layers/pack.ts'
import type { Blobs } from './blobs.ts'
import type { PackedAhead, ReadyLayer } from './packed-ahead.ts'

/** A range of a local file. */
export type LocalMember = { readonly file: string; readonly offset: number; readonly length: number }

/** Members of other layers, and of paths that are already packed, as local files. */
export type OpenMembers = {
  /** By key, without unknown members and those of incomplete blobs. */
  readonly members: ReadonlyMap<MemberKey, LocalMember>
  /** Of them, those of paths that are already packed and in no layer yet, with the listings of the paths. */
  readonly ahead: ReadonlyMap<MemberKey, string | undefined>
  /** Called when a member is damaged: all blobs are hashed before they are used again. */
  doubt(): Promise<void>
  /** Removes downloaded files. */
  release(): Promise<void>
  /** The error for missing members. */
  gone(): Error
}

export type MembersDeps = {
  readonly blobs: Blobs
  readonly packedAhead?: Pick<PackedAhead, 'take'> | undefined
}

/**
 * Opens members, and downloads those of a remote store.
 * @param recorded the members in the catalog, these and possibly others
 */
export async function openMembers(
  { blobs, packedAhead }: MembersDeps,
  keys: readonly MemberKey[],
  recorded: ReadonlyMap<MemberKey, Member>,
): Promise<OpenMembers> {
  const packed = packedAhead && (await openAhead(packedAhead, keys))
  const members = new Map(packed?.members)
  const known = new Map<MemberKey, Member>()
  for (const key of keys) {
    const member = members.has(key) ? undefined : recorded.get(key)
    if (member) known.set(key, member)
  }
  const copies: string[] = []
  const release = async () => {
    await Promise.all([packed?.release(), ...copies.map((copy) => rm(copy, { force: true }))])
  }
  try {
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
      ahead: packed?.ahead ?? new Map(),
      release,
      gone: () => new MemberGone(),
      async doubt() {
        await Promise.all(
          [...new Set([...known.values()].map(({ digest }) => digest))].map((digest) => blobs.doubt(digest)),
        )
      },
    }
  } catch (error) {
    await release()
    throw error
  }
}

/** The members of paths that are already packed. Throws if one cannot be packed. */
async function openAhead(packedAhead: Pick<PackedAhead, 'take'>, keys: readonly MemberKey[]) {
  const members = new Map<MemberKey, LocalMember>()
  const ahead = new Map<MemberKey, string | undefined>()
  const taken: ReadyLayer[] = []
  const release = async () => void (await Promise.all(taken.map((ready) => ready.release())))
  const settled = await Promise.allSettled(
    keys.map(async (key) => {
      const ready = await packedAhead.take(key)
      if (!ready) return
      taken.push(ready)
      const { file, spans, listings: listed } = ready.packed
      const [span, listing] = [spans[0], listed[0]]
      // Formats without checksums have no members that can be copied.
      if (!span) return
      members.set(key, { file, ...span })
      ahead.set(key, listing)
    }),
  )
  const failed = settled.find((one) => one.status === 'rejected')
  if (!failed) return { members, ahead, release }
  await release()
  throw failed.reason
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
