import { fileSegments } from './elf.ts'
import type { Repoint } from './repoint.ts'

/** The maximum length, which leaves a slash for each of the other folders: a store path of `glibc-2.36` and its `/lib/`. */
const length = 59

/**
 * Finds the changes that make Debian's loader search only one folder, like that of nixpkgs.
 * Its folders are consecutive C strings, twice: to search, and to show; elsewhere
 * are their lengths (system_dirs and system_dirs_len in glibc's elf/dl-load.c). Undefined if they are not found.
 * @param first the first of Debian's four folders
 */
export function findLoaderFolders(file: Buffer, first: string): Repoint | undefined {
  const folders = [first, `/usr${first}`, '/lib/', '/usr/lib/']
  const places = placesOf(file, Buffer.from(`${folders.join('\0')}\0`, 'latin1'))
  const lengths = placesOf(file, sizes(folders.map((folder) => folder.length)))
  const [room, ...copies] = places
  if (room === undefined || lengths.length === 0) return undefined
  const others = ['/', '/', '/']
  const patches = [room, ...copies].map((at) => ({
    at: at + length,
    bytes: Buffer.from(`\0${others.join('\0')}\0`, 'latin1'),
  }))
  const counted = sizes([length, ...others.map((other) => other.length)])
  const code = codePatches(file, room, folders)
  if (code.length === 0) return undefined
  return {
    room,
    copies,
    length,
    patches: [...patches, ...lengths.map((at) => ({ at, bytes: counted })), ...code],
  }
}

/**
 * The constants in the code of _dl_init_paths: the length of the first folder, the start of the second,
 * and the greatest length, for which memory is allocated. Empty if the code is not as expected.
 */
function codePatches(file: Buffer, room: number, folders: readonly string[]): Repoint['patches'] {
  const isArm = file.readUInt16LE(18) === 183
  const [first = 0, ...others] = folders.map((folder) => folder.length)
  const greatest = Math.max(...others)
  const segments = fileSegments(file)
  const home = segments.find(({ offset, size }) => room >= offset && room < offset + size)
  if (home === undefined) return []
  const address = home.address + room - home.offset
  for (const { isCode, offset, size, address: start } of segments) {
    if (!isCode) continue
    for (let at = offset + 4; at + 400 < offset + size; at += isArm ? 4 : 1) {
      const word = file.readInt32LE(at)
      if (isArm) {
        // add xD, xN, #second; mov xM, #first; mov xK, #greatest
        if ((word & ~0x3ff) !== (0x91000000 | ((first + 1) << 10) | 0)) continue
        const [one, most] = [first, greatest].map((value) => nextMove(file, at, value))
        if (one === undefined || most === undefined) continue
        return [
          { at, bytes: int32((word & 0x3ff) | 0x91000000 | ((length + 1) << 10)) },
          ...[one, most].map((place) => ({
            at: place,
            bytes: int32((file.readInt32LE(place) & 31) | 0xd2800000 | (length << 5)),
          })),
        ]
      }
      // lea second(%rip), register; movq $first, place(register); movq $greatest, place(%rip)
      const next = start + at + 4 - offset
      if (file[at - 2] !== 0x8d || next + word !== address + first + 1) continue
      const one = file.indexOf(Buffer.from([0x20, ...int32(first)]), at) + 1
      const most = file.indexOf(int32(greatest), at)
      if (one === 0 || one > at + 40 || most < 0 || most > at + 400) continue
      return [
        { at, bytes: int32(address + length + 1 - next) },
        ...[one, most].map((place) => ({ at: place, bytes: int32(length) })),
      ]
    }
  }
  return []
}

function nextMove(file: Buffer, from: number, value: number): number | undefined {
  for (let at = from; at < from + 4 * 64; at += 4) {
    if ((file.readInt32LE(at) & ~31) === (0xd2800000 | (value << 5) | 0)) return at
  }
  return undefined
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value | 0)
  return bytes
}

function placesOf(file: Buffer, bytes: Buffer): number[] {
  const places: number[] = []
  for (let at = file.indexOf(bytes); at >= 0; at = file.indexOf(bytes, at + 1)) places.push(at)
  return places
}

function sizes(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length)
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), 8 * index)
  return bytes
}
