import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { NixeryError } from '../src/errors.ts'
import { withLock } from '../src/fs/lock.ts'
import { removeOld } from '../src/fs/remove-old.ts'
import { fingerprintGenerator } from './fingerprint.ts'
import { generateArchitecture, generateCommon, openDebian, type Debian, type Making } from './generate.ts'
import type { DebianArchitecture } from './layout.ts'
import { isProgramCurrent, writeProgram } from './program.ts'

export type PackageSetOptions = {
  /** The folder of the set, which contains `default.nix`. */
  directory: string
  /** The folder of downloads: apt's lists, .debs, npm tarballs. */
  cacheDirectory: string
  architectures: DebianArchitecture[]
  /** Receives a line of text for each step. */
  progress: (line: string) => void
  signal?: AbortSignal
}

const recordSchema = z.object({ fingerprint: z.string(), architectures: z.array(z.enum(['amd64', 'arm64'])) })
type Made = z.infer<typeof recordSchema>

const recordFile = 'made.json'

/**
 * Makes the demo package set if it is missing or out of date; returns the folder of its default.nix. It can be
 * repeated and interrupted (the set is built in a temporary sibling folder, then renamed). A set made by the same generator
 * for at least these architectures is used unchanged, without network access. Throws SETUP_FAILED with one line that
 * names the missing part, and CANCELLED.
 */
export async function ensureDemoPackageSet(options: PackageSetOptions): Promise<string> {
  const directory = resolve(options.directory)
  const cacheDirectory = resolve(options.cacheDirectory)
  const host = hostArchitecture()
  const fingerprint = await fingerprintGenerator(host)
  const isCurrent = (record: Made | undefined): boolean =>
    record?.fingerprint === fingerprint &&
    options.architectures.every((each) => record.architectures.includes(each))
  if (isCurrent(await readRecord(directory)) && (await isProgramCurrent(directory))) return directory

  const { progress, signal } = options
  const waiting = (): void => progress('another process is making the demo package set: waiting for it')
  const making = withLock(join(cacheDirectory, 'demo.lock'), { waiting, signal }, async () => {
    const made = await readRecord(directory)
    if (isCurrent(made)) {
      await writeProgram(directory, progress)
      return directory
    }
    await mkdir(dirname(directory), { recursive: true })
    // This process has the lock: unfinished sets are from killed processes.
    const prefixes = ['new', 'old'].map((state) => `${basename(directory)}.${state}-`)
    const only = (name: string) => prefixes.some((prefix) => name.startsWith(prefix))
    await removeOld(dirname(directory), { olderThan: 0, only })
    const kept = made?.fingerprint === fingerprint ? made.architectures : []
    const architectures = [...new Set([...kept, ...options.architectures])].sort()
    const folder = await mkdtemp(`${directory}.new-`)
    await chmod(folder, 0o755)
    try {
      const opened = new Map<DebianArchitecture, Promise<Debian>>()
      const debian = (architecture: DebianArchitecture): Promise<Debian> => {
        const one = opened.get(architecture) ?? openDebian(architecture, { cacheDirectory, progress, signal })
        opened.set(architecture, one)
        return one
      }
      const how: Making = { folder, cacheDirectory, progress, signal, debian }
      await generateCommon(how, host)
      for (const architecture of architectures) await generateArchitecture(how, architecture)
      await writeProgram(folder, progress)
      await writeFile(join(folder, recordFile), JSON.stringify({ fingerprint, architectures } satisfies Made))
      signal?.throwIfAborted()
      await replace(directory, folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
    return directory
  })
  return making.catch((error: unknown) => {
    throw signal?.aborted === true ? cancelled(error) : error
  })
}

function hostArchitecture(): DebianArchitecture {
  if (process.arch === 'x64') return 'amd64'
  if (process.arch === 'arm64') return 'arm64'
  throw new NixeryError(
    'SETUP_FAILED',
    `the demo package set can be built on x64 and arm64 machines only, not ${process.arch}`,
  )
}

/** The record of a set; undefined if the set does not exist, or is incomplete. */
async function readRecord(directory: string): Promise<Made | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(join(directory, recordFile), 'utf8')))
  } catch {
    return undefined
  }
}

/** A folder cannot be renamed over one with files: move the old one aside first. */
async function replace(directory: string, folder: string): Promise<void> {
  const old = await mkdtemp(`${directory}.old-`)
  await rename(directory, join(old, 'set')).catch(() => undefined)
  await rename(folder, directory)
  await rm(old, { recursive: true, force: true })
}

const cancelled = (cause: unknown): NixeryError =>
  new NixeryError('CANCELLED', 'making the demo package set was cancelled', { cause })
