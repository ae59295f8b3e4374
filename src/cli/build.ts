import type { Command } from 'commander'
import type { Blobs } from '../build/blobs.ts'
import type { Image } from '../build/image.ts'
import { NixeryError } from '../errors.ts'
import { checkDestination, formatDestination, parseDestination } from '../export/destination.ts'
import { exportImage } from '../export/export.ts'
import { defaultArchiveName, formatArchiveName, parseArchiveName } from '../export/name.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, parseImageReference } from '../image/name.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { jsonLine } from '../text/json-line.ts'
import { openWorkshop } from './compose.ts'
import { exitCodesHelp, runCommand } from './exit.ts'
import { createProgress, type Progress } from './progress.ts'
import { commandConfig } from './settings.ts'

type Options = { readonly output?: string; readonly name?: string; readonly json?: true }

export function addBuildCommand(program: Command): void {
  program
    .command('build')
    .description('build an image without a server, and write it to a file or folder')
    .argument('<image>', 'what would be pulled: shell/git, or shell/git:TAG')
    .option(
      '-o, --output <where>',
      'docker-archive:FILE, oci-archive:FILE or oci:DIR; a FILE of - is standard output; ' +
        'without it the image is only built, for the server to have it ready',
    )
    .option('--name <name[:tag]>', 'its name in the output (default: nixery/<image>)')
    .option('--json', 'the result as JSON on standard output, events as JSON lines on standard error')
    .addHelpText('after', exitCodesHelp)
    .action(async (image: string, options: Options) => {
      const progress = createProgress({ json: options.json === true })
      await runCommand(progress, (signal) => build(image, options, progress, signal))
    })
}

async function build(
  image: string,
  options: Options,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now()
  const config = commandConfig(progress)
  const request = parseImageReference(image)
  const destination = options.output === undefined ? undefined : parseDestination(options.output)
  const named = formatImageName(request)
  const name =
    options.name === undefined ? defaultArchiveName(named, request) : parseArchiveName(options.name)
  if (destination) await checkDestination(destination, process.stdout.isTTY)

  const workshop = await openWorkshop(config, { listener: progress.build, note: progress.note, signal })
  try {
    const built = await workshop.builder.build(request, { id: 'command line', signal })
    const facts = await factsOf(workshop.blobs, built)
    if (destination) {
      progress.emit({ type: 'writing', output: formatDestination(destination), bytes: facts.size })
      const { platform } = request
      await exportImage(
        { name, platform, manifest: built.manifests.oci, config: built.config, layers: built.layers },
        destination,
        {
          read: workshop.read,
          progress: (done, total) => progress.emit({ type: 'moved', verb: 'written', done, total }),
          signal,
        },
      )
    }
    const result = {
      name: formatArchiveName(name),
      image: `${named}:${request.tag}`,
      ...facts,
      seconds: secondsSince(started),
      output: destination && formatDestination(destination),
    }
    const where = destination ? `, in ${result.output}` : ''
    const what = `${counted(facts.layers.length, 'layer')}, ${bytesText(facts.size)}`
    progress.done(`${result.name}: ${what}, ${result.seconds} s${where}`)
    // Standard output is the archive's if it goes there.
    if (destination && destination.path === undefined) {
      if (options.json) process.stderr.write(`${jsonLine({ type: 'result', ...result })}\n`)
    } else process.stdout.write(`${options.json ? jsonLine(result) : result.digest}\n`)
  } finally {
    await workshop.close()
  }
}

export const secondsSince = (started: number): number => Math.round(performance.now() - started) / 1000

// An image has at most some hundred layers; a config with a line for each is far below this.
const largestConfig = 4 * 1024 * 1024

/** What a script wants to know of an image. */
export async function factsOf(blobs: Blobs, { manifests, config, layers }: Image) {
  const bytes = await blobs.readSmall(config.digest, largestConfig)
  if (!bytes) throw new NixeryError('BLOB_UNKNOWN', 'the image was removed while it was read')
  const { rootfs } = JSON.parse(bytes.toString()) as { rootfs: { diff_ids: Digest[] } }
  return {
    digest: manifests.oci.digest,
    config: config.digest,
    size: layers.reduce((sum, { size }) => sum + size, config.size),
    layers: layers.map((layer, index) => ({ ...layer, diffId: rootfs.diff_ids[index] })),
  }
}
