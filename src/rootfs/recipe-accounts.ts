import { NixeryError } from '../errors.ts'
import type { Account } from '../image/contents.ts'
import * as standing from './accounts.ts'

/** The contents of passwd(5), group(5), shadow(5) and gshadow(5); the last two may be missing. */
export type AccountFiles = {
  readonly passwd: string
  readonly group: string
  readonly shadow?: string | undefined
  readonly gshadow?: string | undefined
}

/** The accounts of every image. */
export const standingAccounts: AccountFiles = {
  passwd: standing.passwd,
  group: standing.group,
  shadow: standing.shadow,
  gshadow: standing.gshadow,
}

/**
 * Adds accounts, and leaves existing ones unchanged. Each gets a group of the same name, unless a group with its gid
 * exists. An existing account is only added to its groups.
 * @throws RECIPE_INVALID for an existing name with another uid or gid, a used uid, or a group that does not exist
 */
export function addAccounts(files: AccountFiles, accounts: readonly Account[]): AccountFiles {
  const users = linesOf(files.passwd)
  const groups = linesOf(files.group)
  const [addedUsers, addedGroups]: [string[][], string[][]] = [[], []]
  for (const { name, uid, gid, home, shell } of accounts) {
    const same = users.find(([each]) => each === name)
    if (same && (same[2] !== String(uid) || same[3] !== String(gid))) {
      throw problem(`${name} exists with uid ${same[2]} and gid ${same[3]}: use these ids, or another name`)
    }
    const taken = users.find((line) => line[2] === String(uid))
    if (!same && taken) throw problem(`${name}: the uid ${uid} belongs to ${taken[0]}: use another one`)
    if (!same) addedUsers.push([name, 'x', String(uid), String(gid), '', home, shell])
    const own = groups.find(([each]) => each === name)
    if (own && own[2] !== String(gid)) {
      throw problem(`${name}: the group ${name} exists with gid ${own[2]}: use it as gid, or another name`)
    }
    if (!groups.some((line) => line[2] === String(gid))) {
      const line = [name, 'x', String(gid), '']
      groups.push(line)
      addedGroups.push(line)
    }
  }
  for (const account of accounts) {
    for (const wanted of account.groups) {
      const line = groups.find(([each]) => each === wanted)
      if (!line) throw problem(`${account.name} is in the group ${wanted}, which does not exist`)
      const members = (line[3] ?? '').split(',').filter((each) => each !== '')
      if (!members.includes(account.name)) line[3] = [...members, account.name].join(',')
    }
  }
  return {
    passwd: textOf([...users, ...addedUsers]),
    group: textOf(groups),
    // No password is valid, as for the other accounts.
    shadow:
      files.shadow === undefined
        ? undefined
        : extended(
            files.shadow,
            addedUsers.map(([name]) => `${name}:!::0:99999:7:::`),
          ),
    gshadow:
      files.gshadow === undefined
        ? undefined
        : extended(
            files.gshadow,
            addedGroups.map(([name]) => `${name}:!::`),
          ),
  }
}

/**
 * Resolves the user in a config to ids: `app`, `1000`, `app:group`. Without a group, the user's primary group is used.
 * @throws RECIPE_INVALID for a name that does not exist
 */
export function ownerOf(user: string, files: AccountFiles): { readonly uid: number; readonly gid: number } {
  const [person = '', group] = user.split(':')
  const isNumber = (text: string) => /^\d+$/.test(text)
  const line = linesOf(files.passwd).find((each) =>
    isNumber(person) ? each[2] === person : each[0] === person,
  )
  if (!line && !isNumber(person)) {
    throw new NixeryError(
      'RECIPE_INVALID',
      `user: there is no account ${person}: add it to accounts, or write a number`,
    )
  }
  const found = group === undefined ? undefined : linesOf(files.group).find(([each]) => each === group)
  if (group !== undefined && !found && !isNumber(group)) {
    throw new NixeryError(
      'RECIPE_INVALID',
      `user: there is no group ${group}: add an account of that name, or write a number`,
    )
  }
  return { uid: Number(line?.[2] ?? person), gid: Number(found?.[2] ?? group ?? line?.[3] ?? 0) }
}

const problem = (message: string) => new NixeryError('RECIPE_INVALID', `accounts: ${message}`)

const linesOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(':'))

const textOf = (lines: readonly (readonly string[])[]): string =>
  lines.map((line) => `${line.join(':')}\n`).join('')

/** Appends lines to a text. */
export function extended(text: string, lines: readonly string[]): string {
  const whole = text === '' || text.endsWith('\n') ? text : `${text}\n`
  return whole + lines.map((line) => `${line}\n`).join('')
}
