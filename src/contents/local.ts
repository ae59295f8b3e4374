import { close, open, read } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import { systemErrorCode } from '../errors.ts'
import type { Contents, FileInfo, Program } from './contents.ts'
import { programHeadSize, programOf } from './contents.ts'

/**
 * The Nix store of this machine.
 * @param facts returns Nix's facts about valid paths, because its database must not be read directly
 */
export const localStore = (facts: Contents['facts']): Contents => ({
  facts,
  look,
  list: (path) => readdir(bytesOf(path), { encoding: 'latin1' }),
  read: (path, most) => headOf(bytesOf(path), most),
  open: async (paths) => ({ sources: paths.map((storePath) => ({ storePath })), close: async () => {} }),
})

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

/** The system's errors for missing entries; any other failure is reported. */
const nothing: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'])

async function look(path: string): Promise<FileInfo | undefined> {
  const file = bytesOf(path)
  try {
    const stat = await lstat(file)
    if (stat.isDirectory()) return { kind: 'directory' }
    if (stat.isSymbolicLink()) {
      return { kind: 'symlink', target: await readlink(file, { encoding: 'latin1' }) }
    }
    return { kind: 'file', program: stat.isFile() ? await programAt(file) : undefined }
  } catch (error) {
    if (nothing.has(systemErrorCode(error))) return undefined
    throw error
  }
}

async function programAt(file: Buffer): Promise<Program | undefined> {
  return programOf(await headOf(file, programHeadSize))
}

// By descriptor: a `FileHandle` takes twice the time, and the tree of links reads hundreds of files.
const [openFile, readInto, closeFile] = [promisify(open), promisify(read), promisify(close)]

async function headOf(file: Buffer, most: number): Promise<Buffer> {
  const descriptor = await openFile(file, 'r')
  try {
    const { buffer, bytesRead } = await readInto(descriptor, Buffer.alloc(most), 0, most, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await closeFile(descriptor)
  }
}
