/** An ELF file's data for the dynamic linker. */
export type ElfFacts = {
  /** The path in PT_INTERP, if the file is a program that needs a dynamic linker. */
  interpreter: string | undefined
  /** DT_NEEDED: the libraries that it is linked with, in order. */
  needed: string[]
  /** DT_SONAME: the name that files linked with it use. */
  soname: string | undefined
}

const segment = { load: 1, dynamic: 2, interpreter: 3 }
const executable = 1
const tag = { end: 0, needed: 1, stringTable: 5, soname: 14 }

/**
 * Reads a 64-bit little-endian ELF file (amd64 and arm64). Returns undefined for everything else, such as
 * scripts, 32-bit programs, object files and damaged headers.
 */
export function readElf(file: Buffer): ElfFacts | undefined {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f_45_4c_46 || file[4] !== 2 || file[5] !== 1)
    return undefined
  try {
    const segments = readSegments(file)
    const interpreter = segments.find((each) => each.type === segment.interpreter)
    const dynamic = segments.find((each) => each.type === segment.dynamic)
    return {
      interpreter: interpreter && textAt(file, interpreter.offset),
      ...(dynamic === undefined ? { needed: [], soname: undefined } : readDynamic(file, segments, dynamic)),
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

export type Segment = { type: number; isCode: boolean; offset: number; address: number; size: number }

/** The loaded segments of a 64-bit little-endian ELF file. Throws RangeError for damaged headers. */
export const fileSegments = (file: Buffer): Segment[] =>
  readSegments(file).filter(({ type }) => type === segment.load)

function readSegments(file: Buffer): Segment[] {
  const table = Number(file.readBigUInt64LE(32))
  const entrySize = file.readUInt16LE(54)
  return Array.from({ length: file.readUInt16LE(56) }, (_, at) => {
    const entry = table + at * entrySize
    return {
      type: file.readUInt32LE(entry),
      isCode: (file.readUInt32LE(entry + 4) & executable) !== 0,
      offset: Number(file.readBigUInt64LE(entry + 8)),
      address: Number(file.readBigUInt64LE(entry + 16)),
      size: Number(file.readBigUInt64LE(entry + 32)),
    }
  })
}

function readDynamic(file: Buffer, segments: Segment[], dynamic: Segment): Omit<ElfFacts, 'interpreter'> {
  const values: [tag: number, value: number][] = []
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const each = Number(file.readBigUInt64LE(at))
    if (each === tag.end) break
    if (each === tag.needed || each === tag.soname || each === tag.stringTable) {
      values.push([each, Number(file.readBigUInt64LE(at + 8))])
    }
  }
  const address = values.find(([each]) => each === tag.stringTable)?.[1]
  if (address === undefined) return { needed: [], soname: undefined }
  // The string table is given by its address in memory; the loaded segment that contains it has its offset in the file.
  const holder = segments.find(
    (each) => each.type === segment.load && each.address <= address && address < each.address + each.size,
  )
  if (holder === undefined) return { needed: [], soname: undefined }
  const strings = holder.offset + (address - holder.address)
  const texts = (wanted: number): string[] =>
    values.filter(([each]) => each === wanted).map(([, value]) => textAt(file, strings + value))
  return { needed: texts(tag.needed), soname: texts(tag.soname)[0] }
}

function textAt(file: Buffer, offset: number): string {
  const end = file.indexOf(0, offset)
  if (end < 0) throw new RangeError('text without an end')
  return file.toString('latin1', offset, end)
}
