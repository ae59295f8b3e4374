import { canonicalJson } from '../image/canonical.ts'
import type { Account, ImageFile } from '../image/contents.ts'
import { isBuiltIn, type NamedRecipe, type PackageChoice, type Recipe } from '../image/recipes.ts'
import { byText } from '../image/store-path.ts'
import { recipeError } from './errors.ts'

/**
 * Merges recipes. Packages, accounts and files are combined; variables, labels, annotations, ports and volumes are
 * merged by key; for everything else the last value wins. An entry point without a command drops an earlier command, as
 * in a Dockerfile.
 * @throws RECIPE_INVALID for two different files at one path, or two accounts with one number
 */
export function compose(parts: readonly NamedRecipe[]): Recipe {
  const all = parts.map(({ recipe }) => recipe)
  const packages = choices(all.flatMap((recipe) => recipe.packages))
  const required = new Set(packages.map(keyOfChoice))
  const optional = choices(all.flatMap((recipe) => recipe.optional ?? [])).filter(
    (choice) => !required.has(keyOfChoice(choice)),
  )
  return withoutEmpty({
    packages,
    optional,
    ...merged(all),
    accounts: accountsOf(parts),
    files: filesOf(parts),
  })
}

/**
 * The recipes of an image in the order of merging: built-in ones first, so that `shell` replaces no command, then the
 * others by name.
 */
export const inOrder = (parts: readonly NamedRecipe[]): NamedRecipe[] =>
  parts.toSorted((a, b) => rank(a) - rank(b) || byText(a.name, b.name))

const rank = ({ name }: NamedRecipe): number => (isBuiltIn(name) ? 0 : 1)

const keyOfChoice = (choice: PackageChoice): string => JSON.stringify(choice)

const choices = (all: readonly PackageChoice[]): PackageChoice[] =>
  [...new Map(all.map((choice) => [keyOfChoice(choice), choice]))]
    .sort(([a], [b]) => byText(a, b))
    .map(([, choice]) => choice)

/** The fields other than packages and contents. */
function merged(all: readonly Recipe[]): Omit<Recipe, 'packages' | 'optional' | 'accounts' | 'files'> {
  let result: Omit<Recipe, 'packages'> = {}
  for (const { packages: _, ...recipe } of all) {
    const { cmd: before, ...rest } = result
    const keepsCommand = recipe.entrypoint === undefined && before !== undefined
    result = { ...rest, ...(keepsCommand && { cmd: before }), ...recipe }
  }
  const union = (field: 'ports' | 'volumes') =>
    [...new Set(all.flatMap((recipe) => recipe[field] ?? []))].sort(byText)
  const { optional: _optional, accounts: _accounts, files: _files, ...config } = result
  return {
    ...config,
    env: byKey(all, 'env'),
    labels: byKey(all, 'labels'),
    annotations: byKey(all, 'annotations'),
    ports: union('ports'),
    volumes: union('volumes'),
  }
}

/** Sorted by name, so that the order of fields has no meaning. */
function byKey(all: readonly Recipe[], field: 'env' | 'labels' | 'annotations'): Record<string, string> {
  const entries = all.flatMap((recipe) => Object.entries(recipe[field] ?? {}))
  return Object.fromEntries([...new Map(entries)].sort(([a], [b]) => byText(a, b)))
}

function accountsOf(parts: readonly NamedRecipe[]): Account[] {
  const accounts = new Map<string, Account>()
  for (const { recipe } of parts) for (const one of recipe.accounts ?? []) accounts.set(one.name, one)
  const sorted = [...accounts.values()].sort((a, b) => byText(a.name, b.name))
  for (const one of sorted) {
    const same = sorted.find((other) => other !== one && other.uid === one.uid)
    if (!same) continue
    const name = nameOfAccount(parts, one)
    throw recipeError(name, 'accounts', `${one.name} and ${same.name} both have the uid ${one.uid}`)
  }
  return sorted
}

const nameOfAccount = (parts: readonly NamedRecipe[], account: Account): string =>
  parts.findLast(({ recipe }) => recipe.accounts?.includes(account))?.name ?? ''

function filesOf(parts: readonly NamedRecipe[]): ImageFile[] {
  const files = new Map<string, { readonly file: ImageFile; readonly name: string }>()
  for (const { name, recipe } of parts) {
    for (const file of recipe.files ?? []) {
      const other = files.get(file.path)
      if (other && canonicalJson(other.file) !== canonicalJson(file)) {
        const where = other.name === name ? 'twice in this recipe' : `also in the recipe ${other.name}`
        throw recipeError(name, 'files', `${file.path} is ${where}, with other contents: keep one of them`)
      }
      files.set(file.path, { file, name })
    }
  }
  return [...files.values()].map(({ file }) => file).sort((a, b) => byText(a.path, b.path))
}

/** Removes empty fields, so that a missing field and an empty one are the same. `cmd = []` means no command. */
function withoutEmpty(recipe: Recipe): Recipe {
  const isEmpty = (value: unknown) =>
    value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
  const kept = new Set(['packages', 'cmd', 'entrypoint'])
  return Object.fromEntries(
    Object.entries(recipe)
      .filter(([field, value]) => (kept.has(field) ? value !== undefined : !isEmpty(value)))
      .sort(([a], [b]) => byText(a, b)),
  ) as Recipe
}
