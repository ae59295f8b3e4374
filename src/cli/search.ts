import { NixeryError } from '../errors.ts'
import { mostResults, type PackageEntry } from '../search/entry.ts'
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

/** @throws CONFIG_INVALID; what evaluating the package set throws, if it has no index yet */
async function search(context: CommandContext, options: Options, words: string[]): Promise<void> {
  const limit = Number(options.limit)
  if (!/^\d+$/.test(options.limit) || limit < 1 || limit > mostResults) {
    throw new NixeryError('CONFIG_INVALID', `--limit must be a number from 1 to ${mostResults}`)
  }
  const { progress, signal } = context
  const workshop = await openWorkshop(context.config(), {
    listener: progress.build,
    note: progress.note,
    signal,
  })
  try {
    const { search: index } = workshop
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
    await workshop.close()
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
