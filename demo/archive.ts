import { execa } from 'execa'
import { posix } from 'node:path'
import { Parser, type ReadEntry } from 'tar'
import { readElf, type ElfFacts } from './elf.ts'
import { findLoaderFolders } from './loader.ts'
import { findRepoint, type Repoint } from './repoint.ts'

/** One file, symbolic link or directory in a .deb or an npm tarball. */
export type ArchiveEntry = {
  /** Relative, without a leading `./`. */
  path: string
  kind: 'file' | 'link' | 'directory'
  /** The target of a symbolic link, as written. */
  target: string | undefined
  executable: boolean
  elf: ElfFacts | undefined
  /** The first line of a script, without `#!`. */
  shebang: string | undefined
  /** The path of the first entry with the same inode; the entry's own path, unless it is a hard link. */
  inode: string
  /** The offsets of the texts in `search`. */
  found: Map<string, number[]>
  /** The changes that make its code read longer texts, for those in `repoint`. */
  repoints: Map<string, Repoint>
}

/** What to look for in files. */
export type Searched = { search?: readonly string[]; repoint?: ReadonlyMap<string, readonly string[]> }

/**
 * Reads the contents of a .deb (or an npm tarball, `.tgz`) without unpacking it: files pass through memory
 * one at a time. `search` are texts whose offsets are returned where they occur as C strings; `repoint`
 * texts to replace by longer ones, by file name. Needs Debian's dpkg-deb for .debs, and throws its errors.
 */
export async function readArchive(
  file: string,
  options: Searched & { signal?: AbortSignal | undefined } = {},
): Promise<ArchiveEntry[]> {
  const [command, args] = file.endsWith('.tgz')
    ? ['gzip', ['-dc', file]]
    : ['dpkg-deb', ['--fsys-tarfile', file]]
  const process = execa(command, args, {
    buffer: false,
    stdin: 'ignore',
    ...(options.signal && { cancelSignal: options.signal }),
  })
  const reading: Promise<ArchiveEntry>[] = []
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => reading.push(readEntry(entry, options)),
  })
  const ended = new Promise<void>((resolve, reject) => {
    parser.on('end', resolve)
    parser.on('error', reject)
  })
  const feeding = (async () => {
    for await (const chunk of process.stdout) {
      if (!parser.write(chunk as Buffer)) await new Promise<void>((resolve) => parser.once('drain', resolve))
    }
    parser.end()
  })()
  await Promise.all([feeding, ended, process])
  const entries = await Promise.all(reading)
  return withHardLinks(entries)
}

async function readEntry(entry: ReadEntry, { search = [], repoint }: Searched): Promise<ArchiveEntry> {
  const kind = kinds[entry.type] ?? 'file'
  const path = entry.path.replace(/^\.?\//, '').replace(/\/$/, '')
  const executable = ((entry.mode ?? 0) & 0o111) !== 0
  // Debian's libraries are not executable, but all have `.so` in their names. Other non-executable files are data.
  const isCode = kind === 'file' && (executable || posix.basename(path).includes('.so'))
  const content = isCode ? await entry.concat() : skip(entry)
  const hardLink = entry.type === 'Link' ? entry.linkpath?.replace(/^\.?\//, '') : undefined
  const elf = readElf(content)
  const isLoader = elf?.soname?.startsWith('ld-linux') === true
  const longer = elf?.soname === undefined ? [] : (repoint?.get(elf.soname) ?? [])
  const found = search.map((text) => [text, findStrings(content, text)] as const)
  return {
    path,
    kind,
    target: entry.type === 'SymbolicLink' ? entry.linkpath : undefined,
    executable,
    elf,
    shebang: executable ? readShebang(content) : undefined,
    inode: hardLink ?? path,
    found: new Map(found.filter(([, at]) => at.length > 0)),
    repoints: new Map(
      longer.flatMap((text) => {
        const how = (isLoader ? findLoaderFolders : findRepoint)(content, text)
        return how === undefined ? [] : [[text, how] as const]
      }),
    ),
  }
}

function skip(entry: ReadEntry): Buffer {
  entry.resume()
  return Buffer.alloc(0)
}

/** The offsets at which a text is followed by a zero byte, and not preceded by other text (but maybe by other data). */
function findStrings(content: Buffer, text: string): number[] {
  const places: number[] = []
  for (let at = content.indexOf(`${text}\0`, 0, 'latin1'); at >= 0;) {
    const before = content[at - 1] ?? 0
    if (before < 0x20 || before > 0x7e) places.push(at)
    at = content.indexOf(`${text}\0`, at + 1, 'latin1')
  }
  return places
}

const kinds: Partial<Record<ReadEntry['type'], ArchiveEntry['kind']>> = {
  SymbolicLink: 'link',
  Directory: 'directory',
}

function readShebang(content: Buffer): string | undefined {
  if (content[0] !== 0x23 || content[1] !== 0x21) return undefined
  return content.toString('latin1', 2, 256).split('\n', 1)[0]?.trim()
}

/** A hard link has no content in a tar: give it its target's. */
function withHardLinks(entries: ArchiveEntry[]): ArchiveEntry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]))
  return entries.map((entry) => {
    const target = entry.inode === entry.path ? undefined : byPath.get(entry.inode)
    return target === undefined ? entry : { ...target, path: entry.path }
  })
}
