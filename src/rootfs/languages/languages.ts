import { basename } from 'node:path'
import type { StorePath } from '../../image/store-path.ts'
import { conflictText, linkFolders } from '../forest.ts'
import { layOver } from '../lay-over.ts'
import { isInBase, placeFor } from '../tree.ts'
import { shown, type Work } from '../work.ts'
import { interpretersIn, languages, ofVersion, versionsIn, type Language } from './language.ts'
import { withPropagated } from './propagated.ts'
import { addVirtualEnvironments } from './python.ts'

/**
 * Makes modules work that are requested together with their interpreter. They and their propagated modules are merged in
 * the folders that nixpkgs uses for them, and the interpreter is configured to search there.
 */
export async function addLanguages(work: Work): Promise<void> {
  let all: readonly StorePath[] | undefined
  for (const language of languages) {
    const interpreters = await interpretersIn(work, language)
    if (interpreters.length === 0) continue
    all ??= await withPropagated(work)
    await addLanguage(work, language, interpreters, all)
  }
}

async function addLanguage(
  work: Work,
  language: Language,
  interpreters: readonly StorePath[],
  all: readonly StorePath[],
): Promise<void> {
  const available = await interpreterVersions(work, language, interpreters)
  const isUsable = (version: string) => available === undefined || available.has(version)
  const modules = new Map<string, StorePath[]>()
  for (const path of all) {
    const versions = await versionsIn(work, path, language.modules)
    for (const version of versions) modules.set(version, [...(modules.get(version) ?? []), path])
    const isRequested = work.packages.includes(path)
    if (available && isRequested && versions.length > 0 && !versions.some(isUsable)) {
      work.warn(mismatch(language, path, versions, [...available]))
    }
  }
  const used = [...modules].filter(
    ([version, paths]) => isUsable(version) && paths.some((path) => !interpreters.includes(path)),
  )
  if (used.length === 0) return
  for (const [version, paths] of used) await mergeModules(work, ofVersion(language.modules, version), paths)
  const versions = used.map(([version]) => version)
  if (language.name === 'Python') await addVirtualEnvironments(work, versions)
  const { variable } = language
  if (variable) {
    const folders = new Set(versions.map((version) => ofVersion(variable.value, version)))
    work.env.set(variable.name, [...folders].join(':'))
  }
}

/** The versions of the image's interpreters; undefined if they do not matter or are unknown. */
async function interpreterVersions(
  work: Work,
  { own }: Language,
  interpreters: readonly StorePath[],
): Promise<ReadonlySet<string> | undefined> {
  if (own === undefined) return undefined
  const versions = new Set<string>()
  for (const path of interpreters)
    for (const version of await versionsIn(work, path, own)) versions.add(version)
  return versions.size > 0 ? versions : undefined
}

async function mergeModules(work: Work, folder: string, paths: readonly StorePath[]): Promise<void> {
  const place = await placeFor(work, `/${folder}`)
  const sources = paths.map((path) => `${path}/${folder}`)
  const { tree, conflicts } = await linkFolders(work, sources, `/${folder}`)
  if (isInBase(place.existing)) await layOver(work, tree, `/${folder}`)
  else place.parent.set(place.name, { kind: 'directory', children: tree })
  // Conflicts between requested packages have already been reported by `linkForest`.
  const isRequested = (path: string) => work.packages.some((one) => path.startsWith(`${one}/`))
  for (const conflict of conflicts) {
    const used = conflict.reason === 'later' ? conflict.used : conflict.ignored
    if (!isRequested(used) || !isRequested(conflict.ignored)) work.warn(conflictText(conflict))
  }
}

const mismatch = (
  { name }: Language,
  path: StorePath,
  versions: readonly string[],
  available: readonly string[],
): string =>
  `${shown(basename(path))} has modules for ${name} ${versions.join(', ')}, but the image has ${name} ` +
  `${available.join(', ')}: request an interpreter and modules of the same version`
