import { InvalidArgumentError } from 'commander'
import { deletionDelay } from '../catalogs.ts'
import { settingProblem, type Config } from '../config.ts'
import type { Collected, RemovedImage } from '../upkeep/collected.ts'
import { collect } from '../upkeep/gc.ts'
import { grace } from '../upkeep/uses.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openStorage } from './compose.ts'

type Options = {
  readonly dryRun?: true
  readonly keep?: string
  readonly limit?: string
  readonly list?: number
}

export const setUp = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command
      .option('--dry-run', 'show what would be removed, without removing it')
      .option(
        '--keep <days>',
        'days to keep an image after its last pull (default: NIXERY_KEEP)',
        valueOf('NIXERY_KEEP'),
      )
      .option(
        '--limit <size>',
        'maximum total size, such as 200GB (default: NIXERY_STORE_LIMIT)',
        valueOf('NIXERY_STORE_LIMIT'),
      )
      .option('--list <count>', 'list at most this many of the removed images', wholeNumber),
  run,
})

/** Checks the value of an option as that of a setting. */
const valueOf = (setting: 'NIXERY_KEEP' | 'NIXERY_STORE_LIMIT') => (text: string) => {
  const problem = settingProblem(setting, text)
  if (problem !== undefined) throw new InvalidArgumentError(problem)
  return text
}

function wholeNumber(text: string): number {
  if (/^\d{1,7}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('must be a whole number')
}

async function run(context: CommandContext, options: Options): Promise<void> {
  const config = context.config({
    ...(options.keep !== undefined && { NIXERY_KEEP: options.keep }),
    ...(options.limit !== undefined && { NIXERY_STORE_LIMIT: options.limit }),
  })
  const dryRun = options.dryRun === true
  const { store, catalog } = await openStorage(config, context.progress.note)
  try {
    const collected = await collect(
      { catalog, store },
      {
        keepDays: config.NIXERY_KEEP,
        sizeLimit: config.NIXERY_STORE_LIMIT,
        rowDays: config.NIXERY_CATALOG_KEEP,
        delay: deletionDelay(config),
        listed: options.list,
        dryRun,
        now: Date.now() / 1000,
        signal: context.signal,
      },
    )
    const { images } = collected
    context.print({ dryRun, ...collected }, images.length > 0 ? table(images) : undefined)
    context.progress.done([...summary(collected, dryRun), ...reasons(config, collected)].join('\n'))
  } finally {
    await catalog.close()
  }
}

/** One line per image: its names, when it was last used, its size. */
function table(images: readonly RemovedImage[]): string {
  const rows = images.map(({ names, lastUsed, size }) => [
    names.map(({ repository, tag, architecture }) => `${repository}:${tag} ${architecture}`).join(', ') ||
      'never pulled by name',
    new Date(lastUsed * 1000).toISOString().slice(0, 10),
    bytesText(size),
  ])
  const all = [['image', 'last used', 'size'], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all
    .map(([image = '', used = '', size = '']) =>
      [image.padEnd(widths[0] ?? 0), used.padEnd(widths[1] ?? 0), size.padStart(widths[2] ?? 0)].join('  '),
    )
    .join('\n')
}

function summary(
  { imagesRemoved, imagesKept, blobs, marked, blobsKept, leftovers, forgotten }: Collected,
  dryRun: boolean,
): string[] {
  const verb = dryRun ? 'would be removed' : 'removed'
  const lines = [
    `${counted(imagesRemoved, 'image')} and ${counted(blobs.count, 'blob')} ${verb}, ${bytesText(blobs.size)}`,
    `${counted(imagesKept, 'image')} and ${counted(blobsKept.count, 'blob')} kept, ${bytesText(blobsKept.size)}`,
  ]
  if (marked > 0) {
    lines.push(
      `${counted(marked, 'blob')} not needed: removed an hour later, if other servers do not use them`,
    )
  }
  if (leftovers > 0) lines.push(`${counted(leftovers, 'incomplete file')} removed`)
  const rows = [counted(forgotten.resolutions, 'name'), counted(forgotten.paths, 'store path')]
  if (forgotten.resolutions + forgotten.paths > 0)
    lines.push(`${rows.join(' and ')} removed from the catalog`)
  return lines
}

/** Why the remaining images and blobs are kept. */
function reasons(
  { NIXERY_KEEP, NIXERY_STORE_LIMIT }: Config,
  { blobsKept, reasons: { images, blobs } }: Collected,
): string[] {
  const hours = `${grace / 3600} hours`
  const due =
    NIXERY_KEEP === undefined
      ? 'NIXERY_KEEP (--keep) is not set'
      : `pulled within ${NIXERY_KEEP} days (NIXERY_KEEP, --keep)`
  const why = (what: string, counts: readonly (readonly [number, string])[]) => {
    const texts = counts.filter(([count]) => count > 0).map(([count, reason]) => `${count} ${reason}`)
    return texts.length > 0 ? [`${what} kept: ${texts.join(', ')}`] : []
  }
  const lines = [
    ...why('images', [
      [images.inUse, 'in use'],
      [images.recent, `built or pulled within the last ${hours}`],
      [images.notDue, due],
    ]),
    ...why('blobs', [
      [blobs.ofImages, 'used by these images'],
      [blobs.inUse, 'in use'],
      [blobs.recent, `stored within the last ${hours}`],
      [blobs.others, 'indexes of these images, or stored by other programs'],
    ]),
  ]
  if (NIXERY_KEEP === undefined && NIXERY_STORE_LIMIT === undefined) {
    lines.push(
      'images are kept forever: neither NIXERY_KEEP (--keep) nor NIXERY_STORE_LIMIT (--limit) is set',
    )
  } else if (NIXERY_STORE_LIMIT !== undefined && blobsKept.size > NIXERY_STORE_LIMIT) {
    lines.push(`this exceeds the limit: anything stored or used within the last ${hours} is always kept`)
  }
  return lines
}
