import { NixeryError } from '../errors.ts'
import { mostResults, type PackageEntry } from '../search/entry.ts'
import type { Search } from '../search/query.ts'
import { openFrontSearch } from '../shared-search.ts'
import { openState } from '../state.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openWorkshop } from './compose.ts'

type Options = { readonly set?: string; readonly limit: string }

export const setUp = defineCommand<Options, [words: string[]]>({
  usesFolders: true,
  declare: (command) =>
    command
      .argument('<words...>', 'names of packages or programs, or words of descriptions')
      .option('--set <name>', 'the package set (default: the first)')
      .option('--limit <number>', 'maximum number of results', '20'),
  run: search,
})

/**
 * @throws CONFIG_INVALID; what evaluating the package set throws, if it has no index yet; NIX_UNAVAILABLE if the workers of
 * a front end could not build one
 */
async function search(context: CommandContext, options: Options, words: string[]): Promise<void> {
  const limit = Number(options.limit)
  if (!/^\d+$/.test(options.limit) || limit < 1 || limit > mostResults) {
    throw new NixeryError('CONFIG_INVALID', `--limit must be a number from 1 to ${mostResults}`)
  }
  const { progress } = context
  const opened = await openSearch(context)
  try {
    const { search: index } = opened
    if (!index) throw new NixeryError('CONFIG_INVALID', 'there is no search: NIXERY_SEARCH is off')
    const { set } = options
    if (set !== undefined && !index.sets.includes(set)) {
      throw new NixeryError('CONFIG_INVALID', `there is no package set ${set}`)
    }
    await index.refresh(set)
    const found = await index.find({ set, text: words.join(' '), limit })
    const { results = [], revision, more = false } = found ?? {}
    context.print({ revision, packages: results, more }, results.map(lineOf).join('\n') || undefined)
    if (results.length === 0) progress.note('no packages found')
    else if (more) progress.note(`there are more: --limit ${Math.min(limit * 5, mostResults)}`)
  } finally {
    await opened.close()
  }
}

/** Opens the search of the configured server: a front end has no package sets, and uses what workers have made. */
async function openSearch({
  config: read,
  progress: { build: listener, note },
  signal,
}: CommandContext): Promise<{ readonly search: Search | undefined; close(): Promise<void> }> {
  const config = read()
  if (config.NIXERY_ROLE !== 'front') return openWorkshop(config, { listener, note, signal })
  const state = await openState(config, { warn: note })
  const shared = openFrontSearch(config, state, { note, warn: note, background: false, signal })
  return {
    search: shared,
    async close() {
      await shared?.close()
      await state.close()
    },
  }
}

/** `htop 3.2.2 – interactive processes viewer` */
function lineOf({ name, version, description, programs }: PackageEntry): string {
  const [program] = programs
  const hasOther = program !== undefined && program !== name.split('.').at(-1)
  const facts = [
    [name, version].filter(Boolean).join(' '),
    ...(hasOther ? [`program ${program}`] : []),
    ...(description === undefined ? [] : [description]),
  ]
  return facts.join(' – ')
}
