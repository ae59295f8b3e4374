import { Option } from 'commander'
import { closureInCaches } from '../builds/from-caches.ts'
import { closureOf, knownClosure } from '../builds/closure.ts'
import type { Emit } from '../builds/events.ts'
import { baseLayersOf, budgetOf, layerSpecs } from '../builds/layers.ts'
import { knownLayers } from '../builds/packing.ts'
import { rootsOf, outputsToRealise, specFor } from '../builds/spec-of.ts'
import { duplicatesOf } from '../closure/duplicates.ts'
import type { Closure } from '../closure/graph.ts'
import { NixeryError } from '../errors.ts'
import { vocabularyOf } from '../config/set-config.ts'
import { parseWrittenReference } from '../image/command-line.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import { urlLabel } from '../image/labels.ts'
import type { ImageSpec } from '../image/spec.ts'
import { strategies, type StrategyName } from '../layers/strategies.ts'
import { DerivationGone } from '../nix/realise.ts'
import { bytesText, counted } from '../text/amounts.ts'
import { defineCommand, type CommandContext } from './command.ts'
import { openWorkshop, type Workshop } from './compose.ts'
import { configTable, describeFile, filesTable } from './plan-contents.ts'
import {
  duplicatesTable,
  layersTable,
  packagesTable,
  strategiesTable,
  strategyFacts,
  type PlannedLayer,
} from './plan-table.ts'
import { type Progress } from './progress.ts'

const strategyNames = Object.keys(strategies) as StrategyName[]

type Options = { readonly strategy?: StrategyName }

export const setUp = defineCommand({
  usesFolders: true,
  declare: (command) =>
    command
      .argument('<image>', 'image name as in a pull: shell/git, or shell/git:TAG')
      .addOption(
        new Option(
          '--strategy <name>',
          'how store paths are grouped (default: NIXERY_STRATEGY); all are compared below',
        ).choices(strategyNames),
      ),
  run: plan,
})

async function plan(context: CommandContext, options: Options, image: string): Promise<void> {
  const { progress, signal } = context
  const config = context.config()
  const request = parseWrittenReference(image, vocabularyOf(config))
  const workshop = await openWorkshop(config, { listener: progress.build, note: progress.note, signal })
  try {
    const labels = urlLabel(config.NIXERY_IMAGE_URL)
    const find = async (again: boolean) => {
      const spec = await resolveSpec(workshop, request, { labels, again }, progress, signal)
      return { of: spec, closure: await closureFor(workshop, spec, progress, signal) }
    }
    const { of, closure } = await find(false).catch((error: unknown) => {
      if (error instanceof DerivationGone) return find(true)
      throw error
    })
    const strategy = options.strategy ?? config.NIXERY_STRATEGY
    const layers = await plannedLayers(workshop, of, closure, strategy, emitOf(progress))
    const others = strategyNames.filter((name) => name !== strategy)
    const compared = [
      strategyFacts(strategy, layers),
      ...(await Promise.all(
        others.map(async (name) =>
          strategyFacts(name, await plannedLayers(workshop, of, closure, name, () => {})),
        ),
      )),
    ]
    const found = {
      image: `${formatImageName(request)}:${request.tag}`,
      strategy,
      packages: of.packages.map(({ attribute, version, output, outputPath, commit: other }) => ({
        attribute,
        version,
        output,
        ...(other !== undefined && { commit: other }),
        path: outputPath,
      })),
      ...(of.base && { base: of.base.reference }),
      config: of.config,
      accounts: of.accounts ?? [],
      files: (of.files ?? []).map(describeFile),
      paths: closure.paths.size,
      narSize: layers.reduce((sum, { narSize }) => sum + narSize, 0),
      duplicates: duplicatesOf(new Map([...closure.paths].map(([path, { narSize }]) => [path, narSize]))),
      layers,
      strategies: compared,
    }
    progress.done(
      `${found.image}: ${counted(layers.length, 'layer')}, ${counted(found.paths, 'store path')}, ${bytesText(found.narSize)}`,
    )
    context.print(
      found,
      [
        layersTable(layers),
        strategiesTable(compared),
        packagesTable(found.packages),
        configTable(found.config),
        ...(found.files.length > 0 ? [filesTable(found.files)] : []),
        ...(found.duplicates.length > 0 ? [duplicatesTable(found.duplicates)] : []),
      ].join('\n\n'),
    )
  } finally {
    await workshop.close()
  }
}

const emitOf =
  (progress: Progress): Emit =>
  (event) =>
    progress.build('plan', event)

async function resolveSpec(
  workshop: Workshop,
  request: ImageRequest,
  { labels, again }: { readonly labels: Readonly<Record<string, string>>; readonly again: boolean },
  progress: Progress,
  signal: AbortSignal,
): Promise<ImageSpec> {
  const { request: pinnedRequest, pinned } = await workshop.sets.pin(request)
  const options = { signal, again, emit: emitOf(progress) }
  return (await specFor({ ...workshop, labels }, pinnedRequest, pinned, options)).spec
}

/**
 * Finds the closure as a build does: in the catalog, in binary caches if images come from them, or from Nix, which must
 * realise paths to know their sizes.
 */
async function closureFor(
  { catalog, nix, contents, origin }: Workshop,
  spec: ImageSpec,
  progress: Progress,
  signal: AbortSignal,
): Promise<Closure> {
  const roots = rootsOf(spec)
  const known = await knownClosure(catalog, roots)
  if (known) return known
  const onTrouble = (cache: string, reason: string) =>
    progress.note(`the binary cache ${cache} fails: ${reason}`)
  const inCaches = origin && (await closureInCaches(origin, roots, { signal, onTrouble }))
  if (inCaches) return inCaches
  if (origin?.mode === 'caches') {
    throw new NixeryError('BUILD_FAILED', 'no binary cache has all store paths of the image')
  }
  const started = performance.now()
  const watch = { onLine: (line: string) => progress.emit({ type: 'nix', line }) }
  return nix.withRealised(outputsToRealise(spec), watch, async () => {
    const facts = await contents.facts(roots, watch)
    const narBytes = facts.reduce((sum, { narSize }) => sum + narSize, 0)
    progress.emit({ type: 'realised', paths: facts.length, narBytes, ms: performance.now() - started })
    await catalog.rememberPathFacts(facts)
    return closureOf(roots, facts)
  })
}

/** Plans the layers with one strategy, and looks up which of them have been packed. */
async function plannedLayers(
  workshop: Workshop,
  spec: ImageSpec,
  closure: Closure,
  strategy: StrategyName,
  emit: Emit,
): Promise<PlannedLayer[]> {
  const { packer } = workshop
  const layerOptions = {
    ...workshop.layering(),
    maxLayers: budgetOf(spec, workshop.layering().maxLayers),
    strategy,
    compressorId: packer.compressorId,
  }
  const wanted = layerSpecs(closure, spec, layerOptions)
  const known = await knownLayers(workshop, wanted)
  emit({ type: 'planned', layers: wanted.length, known: known.size })
  const ofBase = baseLayersOf(spec).map(({ layer: { digest, size }, comment }) => {
    return { narSize: 0, digest, size, comment, paths: [] }
  })
  const own = wanted.map(({ key, narSize, members, comment }) => {
    const paths = members.map(({ storePath }) => storePath)
    const layer = known.get(key)
    return { narSize, digest: layer?.digest, size: layer?.size, comment, paths }
  })
  return [...ofBase, ...own].map((layer, index) => ({ number: index + 1, ...layer }))
}
