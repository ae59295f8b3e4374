import type { Platform } from '../image/platform.ts'
import type { StorePath } from '../image/store-path.ts'
import { find, isProgram, type Match } from './find.ts'
import { put } from './tree.ts'
import { shown, type Work } from './work.ts'

/**
 * The standard paths of dynamic loaders, which programs not built by Nix use (System V ABI supplements for AMD64 and
 * AArch64; musl).
 */
const places: Readonly<Record<Platform['architecture'], readonly Loader[]>> = {
  amd64: [
    { at: '/lib64/ld-linux-x86-64.so.2', libc: 'glibc' },
    { at: '/lib/ld-musl-x86_64.so.1', libc: 'musl' },
  ],
  arm64: [
    { at: '/lib/ld-linux-aarch64.so.1', libc: 'glibc' },
    { at: '/lib/ld-musl-aarch64.so.1', libc: 'musl' },
  ],
}

/** A libc in an image: the store path of its loader, and the loader. */
export type Libc = { readonly kind: Loader['libc']; readonly storePath: StorePath; readonly loader: string }
type Loader = { readonly at: string; readonly libc: 'glibc' | 'musl' }

/**
 * Links the libc's loader at its standard path, so that programs not built by Nix start. If `nix-ld` is a linked package,
 * the path links to it, and its variables point to the loader and the libraries; programs built by Nix do not read them.
 * @returns the libcs of the image, glibc first
 */
export async function addLoader(work: Work): Promise<Libc[]> {
  const libcs: Libc[] = []
  for (const { at, libc } of places[work.platform.architecture]) {
    const name = at.slice(at.lastIndexOf('/') + 1)
    const all: Match[] = []
    for await (const one of find(work, [`lib/${name}`], isProgram(work))) all.push(one)
    const chosen = nearest(work, all)
    if (!chosen) continue
    libcs.push({ kind: libc, storePath: storePathOf(work, chosen), loader: chosen.path })
    const distinct = new Set(all.map(({ place }) => place.path))
    if (distinct.size > 1) {
      const others = all.filter((one) => one !== chosen).map(({ path }) => shown(path))
      work.warn(
        `${at} links to ${shown(chosen.path)}, the first one; ${others.join(' and ')} ${others.length > 1 ? 'are' : 'is'} ignored`,
      )
    }
    const nixLd = libc === 'glibc' ? await linkedNixLd(work) : undefined
    await put(work, at, { kind: 'link', target: nixLd ?? chosen.path })
    if (nixLd === undefined) continue
    work.env.set('NIX_LD', chosen.path)
    work.env.set('NIX_LD_LIBRARY_PATH', '/lib')
  }
  return libcs
}

/** The store path of the loader, with links followed. */
const storePathOf = ({ store }: Work, { place }: Match): StorePath =>
  place.path.split('/', store.split('/').length + 1).join('/') as StorePath

/** The loader of the first package that needs one: searches the references in order, nearest first. */
function nearest({ packages, closure }: Work, all: readonly Match[]): Match | undefined {
  const byPath = new Map(all.map((one) => [one.storePath, one]))
  const references = new Map(closure.map((facts) => [facts.storePath, facts.references]))
  for (const root of packages) {
    const reached = new Set([root])
    for (const path of reached) {
      const match = byPath.get(path)
      if (match) return match
      for (const reference of references.get(path) ?? []) reached.add(reference)
    }
  }
  return all[0]
}

async function linkedNixLd(work: Work): Promise<string | undefined> {
  for await (const { path } of find({ ...work, closure: [] }, ['libexec/nix-ld'], isProgram(work)))
    return path
  return undefined
}
