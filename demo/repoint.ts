import { fileSegments, type Segment } from './elf.ts'

/** The changes of a file that make its code read a longer text. */
export type Repoint = {
  /** The offset of the new text: in the unused end of a loaded page. */
  room: number
  /** Other offsets for the same text. */
  copies?: number[]
  /** The length in bytes: a folder, padded with slashes. */
  length: number
  patches: { at: number; bytes: Buffer }[]
}

/** The length of every new text that code reads. */
export const repointedLength = 111

const pageSize = 0x1000
const machines = { amd64: 62, arm64: 183 }

/**
 * Finds the changes that make the code of a 64-bit ELF file read another text instead of `text`. Texts that
 * are overwritten in place cannot grow, and a store path is longer than Debian's folders. Only the instructions that the compilers
 * for the two architectures use for an address are known: `lea` relative to the next instruction, and `adrp` with `add`.
 * If the text's size is a constant next to its address, it is changed too. Undefined if the file does not have the text;
 * throws if no code refers to it or there is no room.
 */
export function findRepoint(file: Buffer, text: string): Repoint | undefined {
  const at = file.indexOf(`\0${text}\0`, 0, 'latin1') + 1
  if (at === 0) return undefined
  const segments = fileSegments(file)
  const home = segments.find(({ offset, size }) => at >= offset && at < offset + size)
  if (home === undefined) return undefined
  const room = home.offset + home.size + 1
  const isFree = file.subarray(room - 1, room + repointedLength + 1).every((byte) => byte === 0)
  const isLoaded = room + repointedLength < Math.ceil((home.offset + home.size) / pageSize) * pageSize
  if (!isFree || !isLoaded) throw new Error(`no room for a text in the place of ${text}`)
  const how = file.readUInt16LE(18) === machines.arm64 ? arm64References : amd64References
  const address = (offset: number) => home.address + offset - home.offset
  const code = segments.filter((segment) => segment.isCode)
  const patches = code.flatMap((segment) =>
    how(file, segment, { from: address(at), to: address(room), size: text.length + 1 }),
  )
  if (patches.length === 0) throw new Error(`nothing refers to ${text}`)
  return { room, length: repointedLength, patches }
}

type Wanted = { from: number; to: number; size: number }

const newSize = repointedLength + 1

function amd64References(file: Buffer, segment: Segment, { from, to, size }: Wanted): Repoint['patches'] {
  const patches: Repoint['patches'] = []
  const end = segment.offset + segment.size
  for (let at = segment.offset + 3; at + 4 <= end; at++) {
    const next = segment.address + at + 4 - segment.offset
    // REX.W lea, with an address relative to the next instruction.
    if (next + file.readInt32LE(at) !== from || file[at - 2] !== 0x8d) continue
    patches.push({ at, bytes: int32(to - next) })
    // movq $size, place: directly before, or with one instruction in between.
    const near = [at - 7, at - 11].find((each) => file.readInt32LE(each) === size)
    if (near !== undefined) patches.push({ at: near, bytes: int32(newSize) })
  }
  return patches
}

function arm64References(file: Buffer, segment: Segment, { from, to, size }: Wanted): Repoint['patches'] {
  const patches: Repoint['patches'] = []
  const end = segment.offset + segment.size
  for (let at = segment.offset; at + 4 <= end; at += 4) {
    const adrp = file.readUInt32LE(at)
    if ((adrp & 0x9f000000) >>> 0 !== 0x90000000) continue
    const page = pageOf(segment.address + at - segment.offset)
    const pages = (((adrp >>> 5) & 0x7ffff) << 2) | ((adrp >>> 29) & 3)
    const signed = pages >= 0x100000 ? pages - 0x200000 : pages
    if (page + signed * pageSize !== pageOf(from)) continue
    const register = adrp & 31
    // The compiler puts at most a few instructions between the two.
    for (let other = at + 4; other <= at + 32 && other + 4 <= end; other += 4) {
      const add = file.readUInt32LE(other)
      if (add >>> 22 !== 0x244 || ((add >>> 5) & 31) !== register) continue
      if (((add >>> 10) & 0xfff) === from % pageSize) {
        const distance = (pageOf(to) - page) / pageSize
        const split = ((distance & 3) << 29) | (((distance >> 2) & 0x7ffff) << 5)
        patches.push({ at, bytes: int32((adrp & 0x9f00001f) | split) })
        patches.push({ at: other, bytes: int32((add & ~(0xfff << 10)) | ((to % pageSize) << 10)) })
        // mov xN, #size: between the two or after them.
        const near = [at + 4, other + 4].find((each) => isMove(file.readUInt32LE(each), size))
        if (near !== undefined) {
          const move = file.readUInt32LE(near)
          patches.push({ at: near, bytes: int32((move & ~(0xffff << 5)) | (newSize << 5)) })
        }
      }
      break
    }
  }
  return patches
}

const isMove = (instruction: number, value: number): boolean =>
  (instruction & 0xffffffe0) >>> 0 === (0xd2800000 | (value << 5)) >>> 0

const pageOf = (address: number): number => address - (address % pageSize)

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value | 0)
  return bytes
}
