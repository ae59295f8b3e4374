import type { Program } from './contents.ts'

/** The bytes at the start of a file that identify its format. */
export const programHeadSize = 20

// e_machine of the ELF header (System V ABI; EM_X86_64, EM_AARCH64).
const machines: ReadonlyMap<number, Program> = new Map([
  [62, 'amd64'],
  [183, 'arm64'],
])

/** @param head the first bytes of a file, `programHeadSize` where it has as many */
export function programOf(head: Buffer): Program | undefined {
  if (head.subarray(0, 2).toString('latin1') === '#!') return 'script'
  const isElf = head.length >= programHeadSize && head.subarray(0, 4).toString('latin1') === '\x7fELF'
  return isElf ? machines.get(head.readUInt16LE(18)) : undefined
}
