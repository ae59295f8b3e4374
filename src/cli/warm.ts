import type { Command } from 'commander'
import { formatImageName, parseImageReference } from '../image/name.ts'
import { platforms } from '../image/platform.ts'
import { counted } from '../text/amounts.ts'
import { jsonLine } from '../text/json-line.ts'
import { secondsSince } from './build.ts'
import { openWorkshop } from './compose.ts'
import { exitCodesHelp, runCommand } from './exit.ts'
import { createProgress, type Progress } from './progress.ts'
import { commandConfig } from './settings.ts'

export function addWarmCommand(program: Command): void {
  program
    .command('warm')
    .description('make images ready ahead of demand, in the folders of the server')
    .argument('<images...>', 'what will be pulled: shell/git, shell/python3:TAG …')
    .option('--json', 'the result as JSON on standard output, events as JSON lines on standard error')
    .addHelpText('after', exitCodesHelp)
    .action(async (images: string[], options: { json?: true }) => {
      const progress = createProgress({ json: options.json === true })
      await runCommand(progress, (signal) => warm(images, options.json === true, progress, signal))
    })
}

/** All names are read before anything is made; the first image that cannot be made ends it. */
async function warm(
  images: readonly string[],
  json: boolean,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now()
  const config = commandConfig(progress)
  const requests = images.map(parseImageReference)
  const defaults = config.NIXERY_PLATFORMS.map((name) => platforms[name])
  const workshop = await openWorkshop(config, { listener: progress.build, note: progress.note, signal })
  try {
    const ready = []
    for (const request of requests) {
      for (const platform of request.platformNamed ? [request.platform] : defaults) {
        const asked = { id: 'command line', signal, background: true }
        const { manifests } = await workshop.builder.build({ ...request, platform }, asked)
        const image = `${formatImageName(request)}:${request.tag}`
        ready.push({ image, architecture: platform.architecture, digest: manifests.oci.digest })
        if (!json) process.stdout.write(`${image} ${platform.architecture} ${manifests.oci.digest}\n`)
      }
    }
    if (json) process.stdout.write(`${jsonLine({ ready, seconds: secondsSince(started) })}\n`)
    progress.done(`${counted(ready.length, 'image')} ready, ${secondsSince(started)} s`)
  } finally {
    await workshop.close()
  }
}
