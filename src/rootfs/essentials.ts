import { findFirst, isProgram } from './find.ts'
import { aliases, certificateBundles, files, folders, osRelease, shells } from './system.ts'
import { directoryAt, nodeAt, placeFor, putAlias, putDirectory, put } from './tree.ts'
import type { Tree, Work } from './work.ts'

/** Runtimes mount these, and refuse to start a container in which they are links or files. */
const mountedFolders = ['dev', 'proc', 'sys']
/** Runtimes mount these, too. A link in their place would make them mount over a file in the store. */
const mountedFiles = ['hosts', 'hostname', 'resolv.conf']

/** Folders with their modes, and the links between them. What packages have in them stays. */
export async function addFolders(work: Work): Promise<void> {
  const leaveOut = (tree: Tree, names: readonly string[], above: string) => {
    for (const name of names) {
      if (tree.delete(name))
        work.warn(`${above}/${name} of a package is left out: the container runtime mounts it`)
    }
  }
  leaveOut(work.tree, mountedFolders, '')
  for (const [path, mode, owner] of folders) await putDirectory(work, path, { mode, ...(owner && { owner }) })
  leaveOut(await directoryAt(work, '/etc'), mountedFiles, '/etc')
  for (const [path, at, target] of aliases) await putAlias(work, path, at, target)
}

/** Programs that scripts name by these very paths, where any store path of the image has them. */
export async function addPrograms(work: Work): Promise<void> {
  for (const program of ['sh', 'env']) {
    const { parent, name, existing } = await placeFor(work, `/usr/bin/${program}`)
    if (existing) continue
    const found = await findFirst(work, [`bin/${program}`], isProgram(work))
    if (found) parent.set(name, { kind: 'link', target: found.path })
  }
}

/** The files of a system, where no package has its own. */
export async function addFiles(work: Work): Promise<void> {
  const programs = await directoryAt(work, '/usr/bin')
  for (const { path, text, mode = 0o644, owner, with: program } of files) {
    if (program !== undefined && !programs.has(program)) continue
    const whole =
      path === osRelease && work.buildId !== undefined ? `${text}BUILD_ID=${work.buildId}\n` : text
    await put(work, path, { kind: 'file', bytes: Buffer.from(whole), mode, ...(owner && { owner }) })
  }
  const present = shells.filter((shell) => programs.has(shell))
  const text = present.map((shell) => `/bin/${shell}\n/usr/bin/${shell}\n`).join('')
  await put(work, '/etc/shells', { kind: 'file', bytes: Buffer.from(text), mode: 0o644 })
}

/**
 * All names of the bundle of certificates where any is: of the linked packages first, then of what they need. So
 * programs that know another distribution's name find it, and so does `SSL_CERT_FILE`.
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
