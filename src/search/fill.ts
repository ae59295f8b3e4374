import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { NixeryError } from '../errors.ts'
import type { Details, ListedPackage } from '../nix/list.ts'
import { spdxExpression } from '../packages/license.ts'
import type { NameFilter } from '../packages/policy.ts'
import type { PinnedSet } from '../packages/source.ts'
import { webAddress, writtenName, type PackageEntry } from './entry.ts'
import type { FillData, FillTask } from './fill.worker.ts'
import type { Progress } from './query.ts'

export type FillOptions = {
  readonly pinned: PinnedSet
  readonly system: string
  /** See `IndexFacts`. */
  readonly rules: string
  readonly filter: Pick<NameFilter, 'allows' | 'denies' | 'limits'>
  /** Bytes of memory for each evaluation. */
  readonly memory: number
  list(pinned: PinnedSet, system: string, details: Details): Promise<{ readonly failed: readonly string[] }>
  readonly onProgress: (progress: Progress) => void
  /** Milliseconds since 1970. */
  readonly now: number
  /** Aborts writing the index; the caller aborts the evaluation. */
  readonly signal: AbortSignal
}

// The timeout (ms) for evaluating a part of the package set: it runs with the lowest priority, possibly on a busy
// machine.
const timeout = 20 * 60_000
// The maximum number of packages in an index, so that no package set fills the disk or the memory of the thread.
const mostPackages = 500_000

/**
 * Evaluates a package set, and writes an index of its packages to a new file.
 * @returns names that could not be evaluated
 * @throws what listing and SQLite throw
 */
export async function fillIndex(file: string, options: FillOptions): Promise<readonly string[]> {
  const { pinned, system, filter, memory, onProgress, signal } = options
  const data: FillData = {
    file,
    system,
    revision: pinned.revision,
    rules: options.rules,
    madeAt: options.now,
    programs: 'folder' in pinned.set ? join(pinned.set.folder, 'programs.sqlite') : undefined,
  }
  const worker = new Worker(new URL(`fill.worker${extname(import.meta.filename)}`, import.meta.url), {
    name: 'search index',
    execArgv: [],
    workerData: data,
  })
  worker.unref() // the evaluation keeps the process alive
  const ended = once(worker, 'exit')
  ended.catch(() => {}) // the thread may fail before anything waits for it
  const post = (task: FillTask) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a Worker has no origin
    worker.postMessage(task)
  }
  let count = 0
  const terminate = () => void worker.terminate()
  signal.addEventListener('abort', terminate)
  try {
    const { failed } = await options.list(pinned, system, {
      memory,
      timeout,
      // A denied name is not evaluated.
      skip: (name) => (filter.limits(name)?.[0] ?? 1) < 1,
      onPart(listed, done, all) {
        const entries = listed.flatMap((each) => entryOf(each, filter) ?? []).slice(0, mostPackages - count)
        count += entries.length
        if (entries.length > 0) post(entries)
        onProgress({ done, all, packages: count })
      },
    })
    worker.ref()
    post('end')
    await ended
    if (signal.aborted) throw new NixeryError('CANCELLED', 'the registry is stopping')
    return failed
  } catch (error) {
    await worker.terminate()
    await rm(file, { force: true })
    throw error
  } finally {
    signal.removeEventListener('abort', terminate)
  }
}

/** The index entry of a package; undefined if the package is not allowed, or has no name in images. */
function entryOf(
  { path, attribute, pname, version, description, program, homepage, license }: ListedPackage,
  filter: Pick<NameFilter, 'allows' | 'denies'>,
): PackageEntry | undefined {
  const name = writtenName(path)
  if (name === undefined || !filter.allows(attribute) || filter.denies(attribute) || filter.denies(name)) {
    return undefined
  }
  return {
    name,
    attribute,
    pname,
    version,
    description,
    homepage: webAddress(homepage),
    license: license === null ? undefined : spdxExpression(license),
    programs: program === undefined || program === '' ? [] : [program],
  }
}
