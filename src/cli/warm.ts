import { buildImage } from '../builds/builds.ts'
import { platformsBySet, vocabularyOf } from '../config/set-config.ts'
import { parseWrittenReference } from '../image/command-line.ts'
import { formatImageName } from '../image/name.ts'
import { counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openWorkshop } from './compose.ts'

export const setUp = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command.argument('<images...>', 'image names as in a pull: shell/git, shell/python3:TAG …'),
  run: warm,
})

/** Parses all names before building anything, and stops at the first image that cannot be built. */
async function warm(context: CommandContext, _: unknown, images: readonly string[]): Promise<void> {
  const { progress, signal } = context
  const config = context.config()
  const requests = images.map((image) => parseWrittenReference(image, vocabularyOf(config)))
  const defaults = platformsBySet(config)
  const workshop = await openWorkshop(config, { listener: progress.build, note: progress.note, signal })
  try {
    const ready = []
    for (const request of requests) {
      for (const platform of request.platformNamed ? [request.platform] : defaults(request.set)) {
        const options = { requestId: 'command line', signal, background: true }
        const { manifests } = await buildImage(workshop.builds, { ...request, platform }, options)
        const image = `${formatImageName(request)}:${request.tag}`
        ready.push({ image, architecture: platform.architecture, digest: manifests.oci.digest })
        if (!context.json) {
          process.stdout.write(`${image} ${platform.architecture} ${manifests.oci.digest}\n`)
        }
      }
    }
    context.print({ ready, seconds: context.seconds() })
    progress.done(`${counted(ready.length, 'image')} ready, ${context.seconds()} s`)
  } finally {
    await workshop.close()
  }
}
