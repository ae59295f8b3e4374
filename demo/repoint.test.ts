import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findRepoint, repointedLength } from './repoint.ts'

const text = '/usr/lib/locale'
const address = 0x40_0000
const place = { code: 0x200, text: 0x800, end: 0x900 }

/** A library of one page with this code, followed by the text. */
function library(machine: number, code: readonly number[]): Buffer {
  const file = Buffer.alloc(0x1000)
  file.write('\u007fELF\u0002\u0001', 'latin1')
  file.writeUInt16LE(machine, 18)
  file.writeBigUInt64LE(64n, 32)
  file.writeUInt16LE(56, 54)
  file.writeUInt16LE(1, 56)
  // One loaded executable segment.
  file.writeUInt32LE(1, 64)
  file.writeUInt32LE(5, 68)
  file.writeBigUInt64LE(BigInt(address), 64 + 16)
  file.writeBigUInt64LE(BigInt(place.end), 64 + 32)
  Buffer.from(code).copy(file, place.code)
  file.write(`\0${text}\0`, place.text - 1, 'latin1')
  return file
}

function patched(file: Buffer): Buffer {
  const how = findRepoint(file, text)
  assert.ok(how)
  assert.equal(how.room, place.end + 1)
  for (const { at, bytes } of how.patches) bytes.copy(file, at)
  return file
}

const littleEndian = (...words: number[]): number[] =>
  words.flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24])

test('code for amd64 reads the new text and its size', () => {
  // movq $16, -0x78(%rbp); lea text(%rip), %r14
  const distance = place.text - (place.code + 15)
  const move = [0x48, 0xc7, 0x45, 0x88, ...littleEndian(text.length + 1)]
  const file = patched(library(62, [...move, 0x4c, 0x8d, 0x35, ...littleEndian(distance)]))
  assert.equal(file.readInt32LE(place.code + 4), repointedLength + 1)
  assert.equal(file.readInt32LE(place.code + 11) + place.code + 15, place.end + 1)
})

test('code for arm64 likewise', () => {
  // adrp x23, text's page; mov x24, #16; add x23, x23, text's place in its page
  const words = [0x9000_0017, 0xd280_0218, (0x9100_02f7 | (place.text << 10)) >>> 0]
  const file = patched(library(183, littleEndian(...words)))
  const moved = [
    0x9000_0017,
    (0xd280_0018 | ((repointedLength + 1) << 5)) >>> 0,
    (0x9100_02f7 | ((place.end + 1) << 10)) >>> 0,
  ]
  assert.deepEqual([...file.subarray(place.code, place.code + 12)], littleEndian(...moved))
})

test('a file without the text is left alone, and one that cannot be changed is no file to use', () => {
  assert.equal(findRepoint(library(62, []), '/elsewhere'), undefined)
  assert.throws(() => findRepoint(library(62, []), text), /nothing refers to/)
  const full = library(62, [])
  full[place.end + 5] = 1
  assert.throws(() => findRepoint(full, text), /no room/)
})
