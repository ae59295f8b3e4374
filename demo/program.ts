import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { z } from 'zod'
import { NixeryError } from '../src/errors.ts'
import { isPart } from '../src/fs/part.ts'
import { removeOld } from '../src/fs/remove-old.ts'
import { replaceFile } from '../src/fs/replace-file.ts'
import { byText } from '../src/image/store-path.ts'
import type { PlainEntry as Entry } from '../src/contents/entry.ts'
import { tarBlocks, trailer } from '../src/layers/archive.ts'

// This program as the package `nixery` of the set, so that it can build its own image. It is updated separately from the
// rest of the set, which seldom changes. Its npm packages are a separate store path, because they change less often than
// its sources.

const root = new URL('../', import.meta.url)
const platform = { os: 'linux', cpu: 'x64', libc: 'glibc' }
const recordFile = 'program.json'

// A string or a list.
const names = z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(z.string()))
const lockEntry = z.looseObject({
  version: z.string().optional(),
  dev: z.boolean().optional(),
  optional: z.boolean().optional(),
  os: names.optional(),
  cpu: names.optional(),
  libc: names.optional(),
})
type LockEntry = z.infer<typeof lockEntry>
const lockFile = z.looseObject({ packages: z.record(z.string(), lockEntry) })
const manifest = z.looseObject({ version: z.string(), description: z.string() })
const recordSchema = z.object({
  fingerprint: z.string(),
  units: z.record(z.string(), z.object({ sources: z.array(z.object({ file: z.string() })) })),
})

/** The npm package has the program as JavaScript only, so its demo set does not contain the program. */
const hasSources = existsSync(new URL('packaging', root))

/** Whether the program in a set is that of this checkout. */
export async function isProgramCurrent(directory: string): Promise<boolean> {
  if (!hasSources) return true
  const { fingerprint } = await readProgram()
  return (await recordedFingerprint(directory)) === fingerprint
}

/**
 * Adds the program to a set, or replaces an older one. Concurrent readers of the set see either the old or the new one.
 * Throws SETUP_FAILED if the npm packages are not installed.
 */
export async function writeProgram(directory: string, progress: (line: string) => void): Promise<void> {
  if (!hasSources) return
  const { fingerprint, version, description, needed, files } = await readProgram()
  if ((await recordedFingerprint(directory)) === fingerprint) return
  progress('packing this program, for images of itself')
  const sources = join(directory, 'sources')
  await mkdir(sources, { recursive: true })
  // The writer holds the lock of the set, so unfinished files belong to a killed process.
  for (const folder of [directory, sources])
    await removeOld(folder, { olderThan: 0, only: (name) => isPart(name) })
  const unit = async (pname: string, entries: readonly Entry[], plan: string, references: string[]) => {
    const bytes = await archive(entries)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const file = `${pname}-${version}-${sha256.slice(0, 16)}.tgz`
    await replaceFile(join(sources, file), bytes)
    const meta = { description, mainProgram: 'nixery' }
    const name = `${pname}-${version}`
    return { name, pname, version, outputs: ['out'], meta, sources: [{ file, sha256 }], references, plan }
  }
  const units = {
    'nixery-modules': await unit('nixery-modules', await moduleFiles(needed), modulesPlan, modulesReferences),
    nixery: await unit('nixery', files, programPlan, programReferences),
  }
  await replaceFile(
    join(directory, recordFile),
    json({ fingerprint, attributes: { nixery: 'nixery' }, units }),
  )
  const kept = new Set(Object.values(units).flatMap((each) => each.sources.map(({ file }) => file)))
  for (const name of await readdir(sources)) {
    if (/^nixery-.*\.tgz$/.test(name) && !kept.has(name)) await rm(join(sources, name))
  }
}

/** The parts of the program in this checkout. */
async function readProgram() {
  const lock = lockFile.parse(JSON.parse(await readFile(new URL('package-lock.json', root), 'utf8')))
  const about = manifest.parse(JSON.parse(await readFile(new URL('package.json', root), 'utf8')))
  const needed = neededPackages(lock.packages)
  const files = await programFiles(lock, about)
  const hash = createHash('sha256').update(JSON.stringify([needed, leftOut.source, modulesPlan, programPlan]))
  for (const block of tarBlocks(files)) hash.update(block)
  const { version, description } = about
  return { fingerprint: hash.digest('hex'), version, description, needed, files }
}

// Plans for nix/builder.sh, like those of plan.ts.

const modulesReferences = ['libc6', 'libdeflate0', 'libgcc-s1', 'libstdc++6']
const modulesPlan = [
  'move . node_modules',
  'cd "$out"',
  String.raw`for file in $(find . -name '*.node'); do patch '' @libstdc++6@/lib:@libgcc-s1@/lib:@libdeflate0@/lib:@libc6@/lib "$file"; done`,
  '',
].join('\n')

const programReferences = ['bash', 'coreutils', 'nixery-modules', 'nodejs']
const programPlan = [
  'move lib/nixery demo docs packaging src CHANGELOG.md package.json package-lock.json',
  'link lib/nixery/node_modules @nixery-modules@/node_modules',
  'mkdir "$out/bin"',
  'add bin/nixery <<END',
  '#!@bash@/bin/bash',
  'exec @nodejs@/bin/node --disable-warning=ExperimentalWarning -- @out@/lib/nixery/src/cli/main.ts "\\$@"',
  'END',
  'add bin/nixery-entrypoint <<END',
  '#!@bash@/bin/sh',
  'PATH=\\${PATH:+\\$PATH:}@coreutils@/bin',
  'root=@out@/lib/nixery node=@nodejs@/bin/node program=@out@/bin/nixery',
  '. @out@/lib/nixery/packaging/entrypoint',
  'END',
  'chmod 755 "$out/bin/nixery" "$out/bin/nixery-entrypoint"',
  '',
].join('\n')

/** The packages of the lock file that the program needs at run time. */
const neededPackages = (packages: Readonly<Record<string, LockEntry>>): [string, LockEntry][] =>
  Object.entries(packages)
    .filter(([path, entry]) => path !== '' && entry.dev !== true && suits(entry))
    // Node itself is a package of the set.
    .filter(([path]) => !path.startsWith('node_modules/node-linux-'))
    .sort(([a], [b]) => byText(a, b))

const suits = ({ os, cpu, libc }: LockEntry): boolean =>
  (os?.includes(platform.os) ?? true) &&
  (cpu?.includes(platform.cpu) ?? true) &&
  (libc?.includes(platform.libc) ?? true)

// Types, maps, sources of native modules, and native modules for other platforms.
const leftOut =
  /\.d\.[cm]?ts$|\.map$|\/better-sqlite3\/(deps|src)\/|\/prebuilds\/(?!linux-x64[./])|\/dist-types\/|\/musl_x64\/|\/koffi\/(doc|vendor)\//

/** The npm packages that the program needs at run time, for this machine's platform; Node itself is not among them. */
export async function programModules(): Promise<Entry[]> {
  const lock = lockFile.parse(JSON.parse(await readFile(new URL('package-lock.json', root), 'utf8')))
  return moduleFiles(neededPackages(lock.packages))
}

async function moduleFiles(packages: readonly [string, LockEntry][]): Promise<Entry[]> {
  const files: Entry[] = []
  for (const [path, { optional }] of packages) {
    if (!(await exists(new URL(path, root)))) {
      if (optional === true) continue
      throw new NixeryError('SETUP_FAILED', `${path} is missing`, {
        hint: 'run this first: npm ci',
      })
    }
    files.push(...(await filesBelow(path, (each) => !each.endsWith('/node_modules') && !leftOut.test(each))))
  }
  return files.sort((a, b) => byText(a.path, b.path))
}

/** The program's own files and documents; without the parts of the lock file and package.json for development. */
async function programFiles(
  lock: z.infer<typeof lockFile>,
  about: Readonly<Record<string, unknown>>,
): Promise<Entry[]> {
  const entries = Object.entries(lock.packages).filter(([, entry]) => entry.dev !== true)
  const packages = Object.fromEntries(entries.map(([path, entry]) => [path, withoutDevelopment(entry)]))
  const wanted = (path: string): boolean => !/\.test\.ts$|\/testing\.ts$|onformance\.ts$/.test(path)
  const below = await Promise.all(
    ['demo', 'docs', 'packaging', 'src'].map((folder) => filesBelow(folder, wanted)),
  )
  return [
    ...below.flat(),
    file('CHANGELOG.md', await readFile(new URL('CHANGELOG.md', root))),
    file('package.json', json(withoutDevelopment(about))),
    file('package-lock.json', json({ ...lock, packages })),
  ].sort((a, b) => byText(a.path, b.path))
}

const withoutDevelopment = (about: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(about).filter(([name]) => !['devDependencies', 'scripts'].includes(name)))

async function filesBelow(folder: string, wanted: (path: string) => boolean): Promise<Entry[]> {
  const entries = await readdir(new URL(folder, root), { withFileTypes: true })
  const found = entries.map(async (entry): Promise<Entry[]> => {
    const path = `${folder}/${entry.name}`
    if (!wanted(path)) return []
    if (entry.isDirectory()) return filesBelow(path, wanted)
    return entry.isFile() ? [file(path, await readFile(new URL(path, root)))] : []
  })
  return (await Promise.all(found)).flat()
}

type FileEntry = Extract<Entry, { kind: 'file' }>

const file = (path: string, bytes: Uint8Array | string): FileEntry => ({
  kind: 'file',
  path: Buffer.from(path).toString('latin1'),
  mode: 0o444,
  content: { bytes: Buffer.from(bytes) },
})

/** Stored without compression, so that the bytes do not depend on the version of zlib. */
async function archive(entries: readonly Entry[]): Promise<Buffer> {
  return promisify(gzip)(Buffer.concat([...tarBlocks(entries), trailer]), { level: 0 })
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 1)}\n`

const exists = (path: string | URL): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** The record of the program in a set; undefined if the program is missing or incomplete. */
async function recordedFingerprint(directory: string): Promise<string | undefined> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(join(directory, recordFile), 'utf8')))
    const files = Object.values(record.units).flatMap(({ sources }) => sources)
    const present = await Promise.all(files.map((each) => exists(join(directory, 'sources', each.file))))
    return present.every(Boolean) ? record.fingerprint : undefined
  } catch {
    return undefined
  }
}
