import { NixeryError } from '../errors.ts'
import { addAccounts, ownerOf, standingAccounts, type AccountFiles } from './recipe-accounts.ts'
import { addImageFiles } from './recipe-files.ts'
import { nodeAt, placeFor, putDirectory } from './tree.ts'
import type { RootfsExtra, Work } from './work.ts'

const shadowOwner = { mode: 0o640, owner: { uid: 0, gid: 42 } } as const

/** Adds the contributions of recipes: accounts with their homes, the working directory, files. */
export async function addRecipe(work: Work, extra: RootfsExtra): Promise<void> {
  const { accounts = [], workdir, user } = extra
  const there = work.base ? await accountsOfBase(work) : standingAccounts
  const files = addAccounts(there, accounts)
  if (accounts.length > 0) {
    await setFile(work, '/etc/passwd', files.passwd)
    await setFile(work, '/etc/group', files.group)
    if (files.shadow !== undefined) await setFile(work, '/etc/shadow', files.shadow, shadowOwner)
    if (files.gshadow !== undefined) await setFile(work, '/etc/gshadow', files.gshadow, shadowOwner)
  }
  for (const { home, uid, gid } of accounts) {
    if (home !== '/nonexistent') await addFolder(work, home, { uid, gid })
  }
  const owner = user === undefined ? undefined : ownerOf(user, files)
  if (workdir !== undefined) await addFolder(work, workdir, owner)
  await addImageFiles(work)
}

/** The users and groups of the base; for files that it lacks, those of every image. */
async function accountsOfBase(work: Work): Promise<AccountFiles> {
  const textOf = async (path: string): Promise<string | undefined> => {
    const node = await nodeAt(work, path)
    if (node?.kind === 'base' && node.text !== undefined) return node.text
    if (node?.kind === 'file') return Buffer.from(node.bytes).toString('latin1')
    if (node === undefined) return undefined
    throw new NixeryError(
      'RECIPE_INVALID',
      `base: its ${path} is not a regular file, so accounts cannot be added`,
    )
  }
  const [passwd, group] = [await textOf('/etc/passwd'), await textOf('/etc/group')]
  return {
    passwd: passwd ?? standingAccounts.passwd,
    group: group ?? standingAccounts.group,
    shadow: await textOf('/etc/shadow'),
    gshadow: await textOf('/etc/gshadow'),
  }
}

/** Creates a directory for a user, if the path does not exist. */
async function addFolder(
  work: Work,
  path: string,
  owner: { uid: number; gid: number } | undefined,
): Promise<void> {
  const clean = Buffer.from(path.replace(/\/+$/, '')).toString('latin1')
  if (clean === '' || (await nodeAt(work, clean))) return
  await putDirectory(work, clean, { mode: 0o755, ...(owner && { owner }) })
}

/** Writes a file; a file of the base keeps its mode and owner. */
async function setFile(
  work: Work,
  path: string,
  text: string,
  usual: { readonly mode: number; readonly owner?: { uid: number; gid: number } } = { mode: 0o644 },
): Promise<void> {
  const { parent, name, existing } = await placeFor(work, path)
  const { mode = usual.mode, owner = usual.owner } = existing?.kind === 'base' ? existing : usual
  const bytes = Buffer.from(text, work.base ? 'latin1' : 'utf8')
  parent.set(name, { kind: 'file', bytes, mode, ...(owner && { owner }) })
}
