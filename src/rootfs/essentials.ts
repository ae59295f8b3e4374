import { findFirst, isProgram } from './find.ts'
import { aliases, certificateBundles, files, folders, osRelease, shells } from './system.ts'
import { directoryAt, nodeAt, placeFor, putAlias, putDirectory, put } from './tree.ts'
import type { Tree, Work } from './work.ts'

/** Runtimes mount file systems at these folders, and refuse to start a container in which they are links or files. */
const mountedFolders = ['dev', 'proc', 'sys']
/** Runtimes also mount these files. If they were links, the runtime would mount over a file in the store. */
const mountedFiles = ['hosts', 'hostname', 'resolv.conf']

/** Adds folders with their modes, and links between them. Keeps the contents of packages in these folders. */
export async function addFolders(work: Work): Promise<void> {
  const ignore = (tree: Tree, names: readonly string[], folder: string) => {
    for (const name of names) {
      if (tree.delete(name))
        work.warn(`${folder}/${name} of a package is ignored: the container runtime mounts its own`)
    }
  }
  ignore(work.tree, mountedFolders, '')
  for (const [path, mode, owner] of folders) await putDirectory(work, path, { mode, ...(owner && { owner }) })
  ignore(await directoryAt(work, '/etc'), mountedFiles, '/etc')
  for (const [path, at, target] of aliases) await putAlias(work, path, at, target)
}

/** Adds `/bin/sh` and `/usr/bin/env`, which scripts use by their paths, if any store path of the image has them. */
export async function addPrograms(work: Work): Promise<void> {
  for (const program of ['sh', 'env']) {
    const { parent, name, existing } = await placeFor(work, `/usr/bin/${program}`)
    if (existing) continue
    const found = await findFirst(work, [`bin/${program}`], isProgram(work))
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
  const text = present.map((shell) => `/bin/${shell}\n/usr/bin/${shell}\n`).join('')
  await put(work, '/etc/shells', { kind: 'file', bytes: Buffer.from(text), mode: 0o644 })
}

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
