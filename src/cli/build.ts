import { buildImage } from '../builds/builds.ts'
import { checkDestination, formatDestination, parseDestination } from '../export/destination.ts'
import { exportImage } from '../export/export.ts'
import { defaultArchiveName, formatArchiveName, parseArchiveName } from '../export/name.ts'
import { vocabularyOf } from '../config/set-config.ts'
import { parseWrittenReference } from '../image/command-line.ts'
import { formatImageName } from '../image/name.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { jsonLine } from '../text/json-line.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openWorkshop } from './compose.ts'
import { factsOf } from './image-facts.ts'

type Options = { readonly output?: string; readonly name?: string }

export const setUp = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command
      .argument('<image>', 'image name as in a pull: shell/git, or shell/git:TAG')
      .option(
        '-o, --output <where>',
        'docker-archive:FILE, oci-archive:FILE or oci:DIR; use - as FILE for standard output; ' +
          'without this option, the image is built and kept for the server',
      )
      .option('--name <name[:tag]>', 'name of the image in the output (default: nixery/<image>)'),
  run: build,
})

async function build(context: CommandContext, options: Options, image: string): Promise<void> {
  const { progress, signal } = context
  const config = context.config()
  const request = parseWrittenReference(image, vocabularyOf(config))
  const destination = options.output === undefined ? undefined : parseDestination(options.output)
  const named = formatImageName(request)
  const name =
    options.name === undefined ? defaultArchiveName(named, request) : parseArchiveName(options.name)
  if (destination) await checkDestination(destination, process.stdout.isTTY)

  const workshop = await openWorkshop(config, { listener: progress.build, note: progress.note, signal })
  try {
    const built = await buildImage(workshop.builds, request, { requestId: 'command line', signal })
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
      seconds: context.seconds(),
      output: destination && formatDestination(destination),
    }
    const where = destination ? `, in ${result.output}` : ''
    const what = `${counted(facts.layers.length, 'layer')}, ${bytesText(facts.size)}`
    progress.done(`${result.name}: ${what}, ${result.seconds} s${where}`)
    // Standard output is used for the archive, so the digest cannot be printed there.
    if (!destination || destination.path !== undefined) context.print(result, result.digest)
    else if (context.json) process.stderr.write(`${jsonLine({ type: 'result', ...result })}\n`)
  } finally {
    await workshop.close()
  }
}
