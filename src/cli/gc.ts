import type { Config } from '../config.ts'
import type { Collected, GoneImage } from '../upkeep/collected.ts'
import { collect } from '../upkeep/gc.ts'
import { grace } from '../upkeep/uses.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openStorage } from './compose.ts'

type Options = { readonly dryRun?: true; readonly keep?: string; readonly limit?: string }

export const setUp = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command
      .option('--dry-run', 'tell what would go, and leave it')
      .option('--keep <days>', 'for how long an image stays after its last pull (default: NIXERY_KEEP)')
      .option('--limit <size>', 'what all may take, such as 200GB (default: NIXERY_STORE_LIMIT)'),
  run,
})

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

/** A line for each image: its names, when it was last used, what it consists of. */
function table(images: readonly GoneImage[]): string {
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
  { images, imagesKept, blobs, blobsKept, leftovers, forgotten }: Collected,
  dryRun: boolean,
): string[] {
  const verb = dryRun ? 'would go' : images.length + blobs.count === 1 ? 'is gone' : 'are gone'
  const lines = [
    `${counted(images.length, 'image')} and ${counted(blobs.count, 'blob')} ${verb}, ${bytesText(blobs.size)}`,
    `${counted(imagesKept, 'image')} and ${counted(blobsKept.count, 'blob')} stay, ${bytesText(blobsKept.size)}`,
  ]
  if (leftovers > 0) lines.push(`${counted(leftovers, 'unfinished file')} removed`)
  const rows = [counted(forgotten.resolutions, 'name'), counted(forgotten.paths, 'store path')]
  if (forgotten.resolutions + forgotten.paths > 0)
    lines.push(`${rows.join(' and ')} forgotten by the catalog`)
  return lines
}

/** Why the images and blobs stay that do. */
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
    return texts.length > 0 ? [`${what} that stay: ${texts.join(', ')}`] : []
  }
  const lines = [
    ...why('images', [
      [images.inUse, 'in use'],
      [images.recent, `made or pulled within the last ${hours}`],
      [images.notDue, due],
    ]),
    ...why('blobs', [
      [blobs.ofImages, 'of these images'],
      [blobs.inUse, 'in use'],
      [blobs.recent, `stored within the last ${hours}`],
      [blobs.others, 'that list these images, or that other programs have stored'],
    ]),
  ]
  if (NIXERY_KEEP === undefined && NIXERY_STORE_LIMIT === undefined) {
    lines.push('images stay for ever: neither NIXERY_KEEP (--keep) nor NIXERY_STORE_LIMIT (--limit) is set')
  } else if (NIXERY_STORE_LIMIT !== undefined && blobsKept.size > NIXERY_STORE_LIMIT) {
    lines.push(`this is above the limit: what was stored or used within the last ${hours} always stays`)
  }
  return lines
}
