import { basename } from 'node:path'
import { findFirst, isProgram } from './find.ts'
import { aliases, certificateBundles, files, folders, osRelease, shells } from './system.ts'
import { extended } from './recipe-accounts.ts'
import { directoryAt, isInBase, nodeAt, placeFor, putAlias, putDirectory, put } from './tree.ts'
import type { Tree, Work } from './work.ts'

/** Runtimes mount file systems at these folders, and refuse to start a container in which they are links or files. */
const mountedFolders = ['dev', 'proc', 'sys']
/** Runtimes also mount these files. If they were links, the runtime would mount over a file in the store. */
const mountedFiles = ['hosts', 'hostname', 'resolv.conf']

/** Removes the entries that the runtime mounts over from a tree of packages. */
export function ignoreMounted(tree: Tree, warn: Work['warn']): void {
  ignore(tree, mountedFolders, '', warn)
  const etc = tree.get('etc')
  if (etc?.kind === 'directory') ignore(etc.children, mountedFiles, '/etc', warn)
}

function ignore(tree: Tree, names: readonly string[], folder: string, warn: Work['warn']): void {
  for (const name of names) {
    if (isInBase(tree.get(name))) continue
    if (tree.delete(name))
      warn(`${folder}/${name} of a package is ignored: the container runtime mounts its own`)
  }
}

/** Adds folders with their modes, and links between them. Keeps the contents of packages in these folders. */
export async function addFolders(work: Work): Promise<void> {
  ignore(work.tree, mountedFolders, '', work.warn)
  for (const [path, mode, owner] of folders) {
    // Folders of the base keep their modes and owners, and its links are followed.
    if (work.base && (await nodeAt(work, path))) continue
    await putDirectory(work, path, { mode, ...(owner && { owner }) })
  }
  ignore(await directoryAt(work, '/etc'), mountedFiles, '/etc', work.warn)
  for (const [path, at, target] of aliases) await putAlias(work, path, at, target)
}

/** Adds `/bin/sh` and `/usr/bin/env`, which scripts use by their paths, if any store path of the image has them. */
export async function addPrograms(work: Work): Promise<void> {
  for (const path of ['/bin/sh', '/usr/bin/env']) {
    const { parent, name, existing } = await placeFor(work, path)
    if (existing) continue
    const found = await findFirst(work, [`bin/${name}`], isProgram(work))
    if (found) parent.set(name, { kind: 'link', target: found.path })
  }
}

/** Adds the files of a base system, unless a package has its own. */
export async function addFiles(work: Work): Promise<void> {
  const programs = await directoryAt(work, '/usr/bin')
  for (const { path, text, mode = 0o644, owner, with: program } of files) {
    if (program !== undefined && !programs.has(program)) continue
    const content =
      path === osRelease && work.buildId !== undefined ? `${text}BUILD_ID=${work.buildId}\n` : text
    await put(work, path, { kind: 'file', bytes: Buffer.from(content), mode, ...(owner && { owner }) })
  }
  const present = shells.filter((shell) => programs.has(shell))
  const lines = present.flatMap((shell) => [`/bin/${shell}`, `/usr/bin/${shell}`])
  const { parent, name, existing } = await placeFor(work, '/etc/shells')
  const theirs = existing?.kind === 'base' ? existing : undefined
  if (existing && theirs?.text === undefined) return
  const known = new Set(theirs?.text?.split('\n'))
  const added = lines.filter((line) => !known.has(line) && (!theirs || isOwn(programs, line)))
  if (theirs && added.length === 0) return
  const text = extended(theirs?.text ?? '', added)
  const { mode = 0o644, owner } = theirs ?? {}
  parent.set(name, { kind: 'file', bytes: Buffer.from(text, 'latin1'), mode, ...(owner && { owner }) })
}

/** Whether a shell comes from a package. */
const isOwn = (programs: Tree, path: string): boolean => programs.get(basename(path))?.kind === 'link'

/**
 * Links all usual names of the certificate bundle to the first one found: in the linked packages, then in their closure.
 * So `SSL_CERT_FILE` and programs that use the path of another distribution find it.
 */
export async function addCertificates(work: Work): Promise<void> {
  const linked = await Promise.all(certificateBundles.map((name) => nodeAt(work, name)))
  const inside = certificateBundles.map((name) => name.slice(1))
  const target =
    linked.find((node) => node?.kind === 'link')?.target ??
    (await findFirst(work, inside, ({ found }) => found.kind === 'file'))?.path
  if (target === undefined) return
  for (const name of certificateBundles) await put(work, name, { kind: 'link', target })
}
