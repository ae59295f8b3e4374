import type { ImageFile } from '../image/contents.ts'
import type { Recipe } from '../image/recipes.ts'
import { standingGroups, standingUsers } from '../rootfs/accounts.ts'
import { accountFiles } from '../rootfs/tree.ts'
import { recipeError } from './errors.ts'

/**
 * Checks the fields of a recipe against each other.
 * @throws RECIPE_INVALID
 */
export function checkWhole(name: string, recipe: Recipe): void {
  const { accounts = [], files = [] } = recipe
  // Accounts of a base are known only when the base has been read.
  if (recipe.base === undefined) checkUser(name, recipe)
  const groups = new Set([...standingGroups, ...accounts.map((account) => account.name)])
  for (const account of accounts) {
    const missing = account.groups.find((group) => !groups.has(group))
    if (missing === undefined || recipe.base !== undefined) continue
    const reason = `${account.name} is in the group ${missing}, which does not exist: add an account of that name, or remove the group`
    throw recipeError(name, 'accounts', reason)
  }
  const written = files.find(({ path }) => accountFiles.has(path))
  if (accounts.length > 0 && written) {
    throw recipeError(name, 'files', `${written.path} is generated from accounts: use one of the two`)
  }
  checkPlaces(name, files)
}

function checkUser(name: string, { user, accounts = [] }: Recipe): void {
  if (user === undefined) return
  const [person = '', group] = user.split(':')
  const names = new Set(accounts.map((account) => account.name))
  const isKnown = (part: string, standing: ReadonlySet<string>) =>
    /^\d+$/.test(part) || standing.has(part) || names.has(part)
  if (!isKnown(person, standingUsers)) {
    throw recipeError(name, 'user', `there is no account ${person}: add it to accounts, or write a number`)
  }
  if (group !== undefined && !isKnown(group, standingGroups)) {
    throw recipeError(
      name,
      'user',
      `there is no group ${group}: add an account of that name, or write a number`,
    )
  }
}

/** Nothing can be below a file or a link. */
function checkPlaces(name: string, files: readonly ImageFile[]): void {
  const others = new Set(files.filter((file) => !('directory' in file)).map(({ path }) => path))
  for (const { path } of files) {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const above = path.slice(0, end)
      if (!others.has(above)) continue
      throw recipeError(
        name,
        'files',
        `${path} is below ${above}, which is not a directory: move one of them`,
      )
    }
  }
}
