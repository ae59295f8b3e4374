import { addAccounts, ownerOf, standingAccounts } from './recipe-accounts.ts'
import { addImageFiles } from './recipe-files.ts'
import { nodeAt, placeFor, putDirectory } from './tree.ts'
import type { Work } from './work.ts'

const shadowOwner = { mode: 0o640, owner: { uid: 0, gid: 42 } } as const

/** Adds what recipes say: accounts with their homes, the working directory, files. */
export async function addRecipe(work: Work): Promise<void> {
  const { extra } = work
  if (!extra) return
  const { accounts = [], workdir, user } = extra
  const files = addAccounts(standingAccounts, accounts)
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

/** A directory for someone, where nothing is. */
async function addFolder(
  work: Work,
  path: string,
  owner: { uid: number; gid: number } | undefined,
): Promise<void> {
  const clean = Buffer.from(path.replace(/\/+$/, '')).toString('latin1')
  if (clean === '' || (await nodeAt(work, clean))) return
  await putDirectory(work, clean, { mode: 0o755, ...(owner && { owner }) })
}

async function setFile(
  work: Work,
  path: string,
  text: string,
  { mode, owner }: { readonly mode: number; readonly owner?: { uid: number; gid: number } } = { mode: 0o644 },
): Promise<void> {
  const { parent, name } = await placeFor(work, path)
  parent.set(name, { kind: 'file', bytes: Buffer.from(text), mode, ...(owner && { owner }) })
}
