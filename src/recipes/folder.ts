import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hash } from 'node:crypto'
import { isNixeryError, NixeryError, systemErrorCode } from '../errors.ts'
import { byText } from '../image/store-path.ts'
import { RecipeError } from './errors.ts'
import { limits } from './fields.ts'
import type { OwnRecipe } from './include.ts'
import { normalise, type Copied } from './normal.ts'
import { formatProblem, parseRecipe, positionOfField, type Format, type Problem } from './parse.ts'
import type { WrittenRecipe } from './schema.ts'
import { markOf, readSource, SourceProblem } from './sources.ts'
import { includesOf, nameProblem } from './written.ts'

/** The recipe in a file, or its problems. */
export type FolderEntry =
  | { readonly file: string; readonly own: OwnRecipe; readonly text: string }
  | { readonly file: string; readonly problems: readonly Problem[] }

/** All recipes of a folder, by name. `state` changes whenever a file that they use changes. */
export type FolderRecipes = { readonly entries: ReadonlyMap<string, FolderEntry>; readonly state: string }

/** An empty folder. */
export const noRecipes: FolderRecipes = { entries: new Map(), state: '' }

export type RecipeFolder = {
  /** The recipes, if the folder was checked recently. */
  current(): FolderRecipes | undefined
  /** Reads what has changed. @throws RECIPE_INVALID if the folder cannot be read */
  look(): Promise<FolderRecipes>
}

const mostRecipes = 1000
const mostBytes = 1024 * 1024
// Milliseconds between checks of the files.
const believed = 1000

type Read = {
  readonly name: string
  readonly entry: FolderEntry
  readonly paths: readonly string[]
  readonly mark: string
}

/**
 * @param folder contains `NAME.toml` and `NAME.json`; recipes can copy its other files
 * @param onLoad called when new or changed recipes have been loaded
 */
export function openFolder(
  folder: string,
  onLoad: (recipes: FolderRecipes) => void = () => {},
): RecipeFolder {
  let known = new Map<string, Read>()
  let last: { readonly recipes: FolderRecipes; readonly at: number } | undefined
  let looking: Promise<FolderRecipes> | undefined

  async function look(): Promise<FolderRecipes> {
    const files = await recipeFiles(folder)
    const read = new Map<string, Read>()
    for (const file of files) {
      const before = known.get(file)
      const isSame = before !== undefined && (await marksOf(before.paths)) === before.mark
      read.set(file, isSame ? before : await readRecipe(folder, file))
    }
    known = read
    const entries = new Map<string, FolderEntry>()
    for (const { name, entry } of read.values()) {
      const other = entries.get(name)
      const message = `${other?.file} is a recipe of the same name: remove one of them`
      entries.set(
        name,
        other ? { file: entry.file, problems: [{ recipe: name, file: entry.file, message }] } : entry,
      )
    }
    const marks = Array.from(read, ([file, { mark }]) => `${file} ${mark}`)
    const recipes = { entries, state: hash('sha256', marks.join('\n')) }
    const hasChanged = last?.recipes.state !== recipes.state
    last = { recipes, at: performance.now() }
    if (hasChanged) onLoad(recipes)
    return recipes
  }

  const current = () => (last && performance.now() - last.at < believed ? last.recipes : undefined)
  return {
    current,
    look() {
      const recent = current()
      if (recent) return Promise.resolve(recent)
      looking ??= look().finally(() => {
        looking = undefined
      })
      return looking
    },
  }
}

/** @throws RECIPE_INVALID with all problems, each on a line */
export function recipeOf(entry: FolderEntry): OwnRecipe {
  if ('own' in entry) return entry.own
  const messages = entry.problems.map(formatProblem)
  throw new NixeryError('RECIPE_INVALID', messages.join('\n'))
}

/** The same failure, with its position in the file. */
export function locate(error: RecipeError, entry: FolderEntry): NixeryError<'RECIPE_INVALID'> | undefined {
  if (!('text' in entry) || error.field === undefined) return undefined
  const { recipe, field, reason } = error
  const position = positionOfField(entry.text, formatOf(entry.file) ?? 'toml', field.split('.'))
  const message = formatProblem({ recipe, field, message: reason, file: entry.file, position })
  return new NixeryError('RECIPE_INVALID', message)
}

/** The recipe files of a folder, sorted. @throws RECIPE_INVALID */
export async function recipeFiles(folder: string): Promise<string[]> {
  try {
    const files = (await readdir(folder)).filter((file) => formatOf(file) !== undefined).sort(byText)
    if (files.length > mostRecipes)
      throw new NixeryError('RECIPE_INVALID', `the folder of recipes has more than ${mostRecipes}`)
    return files
  } catch (error) {
    if (isNixeryError(error)) throw error
    throw new NixeryError('RECIPE_INVALID', `cannot read the folder of recipes: ${systemErrorCode(error)}`, {
      cause: error,
    })
  }
}

/** The format of a recipe file; undefined for other files. */
export const formatOf = (file: string): Format | undefined =>
  file.startsWith('.') ? undefined : (/\.(toml|json)$/.exec(file)?.[1] as Format | undefined)

const marksOf = async (paths: readonly string[]): Promise<string> =>
  (await Promise.all(paths.map(markOf))).join('\n')

async function readRecipe(folder: string, file: string): Promise<Read> {
  const name = file.replace(/\.[a-z]+$/, '')
  const path = join(folder, file)
  const paths = [path]
  // Record the state before reading, so that the next check sees concurrent changes.
  const mark = await markOf(path)
  const entry = await readEntry(folder, file, name, paths)
  const others = await marksOf(paths.slice(1))
  return { name, entry, paths, mark: paths.length > 1 ? `${mark}\n${others}` : mark }
}

/** @param paths receives the other files that the recipe uses */
async function readEntry(folder: string, file: string, name: string, paths: string[]): Promise<FolderEntry> {
  const broken = (problems: readonly Omit<Problem, 'recipe' | 'file'>[]): FolderEntry => ({
    file,
    problems: problems.map((problem) => ({ ...problem, recipe: name, file })),
  })
  const refused = nameProblem(name)
  if (refused !== undefined) return broken([{ message: refused }])
  const format = formatOf(file) ?? 'toml'
  let text = ''
  try {
    const found = await stat(join(folder, file))
    // Reading a pipe or a device may never end.
    if (!found.isFile()) return broken([{ message: 'is not a file, or a link to one' }])
    if (found.size > mostBytes) return broken([{ message: `has more than ${mostBytes} bytes` }])
    text = await readFile(join(folder, file), 'utf8')
    const parsed = parseRecipe(name, text, format)
    if (!parsed.ok) return broken(parsed.problems)
    const { written } = parsed
    const outside = (written.files ?? []).find(({ store }) => store !== undefined)
    if (outside)
      return broken([{ field: 'files', message: '`store` is for recipes in a package set: use source' }])
    const copies = await copiesOf(folder, written, paths)
    if ('problem' in copies) return broken([copies.problem])
    const own = { recipe: normalise(name, written, copies.copies), roots: [], include: includesOf(written) }
    return { file, own, text }
  } catch (error) {
    if (error instanceof RecipeError) {
      const { field, reason } = error
      const position = field === undefined ? undefined : positionOfField(text, format, [field])
      return broken([{ field, message: reason, position }])
    }
    return broken([{ message: `cannot be read: ${systemErrorCode(error) ?? String(error)}` }])
  }
}

async function copiesOf(folder: string, { files = [] }: WrittenRecipe, paths: string[]) {
  const copies = new Map<string, readonly Copied[]>()
  let left: number = limits.fileBytes
  for (const [index, { source }] of files.entries()) {
    if (source === undefined || copies.has(source)) continue
    try {
      const read = await readSource(folder, source, left)
      for (const one of read.copied) if ('bytes' in one) left -= one.bytes.length
      copies.set(source, read.copied)
      paths.push(...read.paths)
    } catch (error) {
      // So that the recipe is reloaded when the file exists.
      paths.push(join(folder, source))
      if (!(error instanceof SourceProblem)) throw error
      return { problem: { field: `files[${index}].source`, message: error.message } }
    }
  }
  return { copies }
}
