import { Option, type Command } from 'commander'
import { closureOf, knownClosure } from '../build/closure.ts'
import type { Emit } from '../build/events.ts'
import { knownLayers, wantedLayers } from '../build/layers.ts'
import { resolve } from '../build/resolve.ts'
import { createFlights } from '../build/single-flight.ts'
import type { Closure } from '../closure/graph.ts'
import { readConfig } from '../config.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { Layer } from '../image/oci.ts'
import { storePathName, type StorePath } from '../image/store-path.ts'
import { strategies } from '../layers/plan.ts'
import type { ResolvedPackage } from '../packages/resolution.ts'
import { parseImageArgument } from './build.ts'
import { openWorkshop, type Workshop } from './compose.ts'
import { exitCodesHelp, runCommand } from './exit.ts'
import { counted, createProgress, jsonLine, bytesText, printable, type Progress } from './progress.ts'

type Strategy = keyof typeof strategies
type Options = { readonly strategy: Strategy; readonly json?: true }

export function addPlanCommand(program: Command): void {
  program
    .command('plan')
    .description('show the layers that an image has, without packing them')
    .argument('<image>', 'what would be pulled: shell/git, or shell/git:TAG')
    .addOption(
      new Option('--strategy <name>', 'how store paths are grouped')
        .choices(Object.keys(strategies))
        .default('nixery'),
    )
    .option('--json', 'as JSON on standard output, events as JSON lines on standard error')
    .addHelpText('after', exitCodesHelp)
    .action(async (image: string, options: Options) => {
      const progress = createProgress({ json: options.json === true })
      await runCommand(progress, (signal) => plan(image, options, progress, signal))
    })
}

async function plan(image: string, options: Options, progress: Progress, signal: AbortSignal): Promise<void> {
  const config = readConfig(process.env)
  const request = parseImageArgument(image)
  const workshop = await openWorkshop(config, { listener: progress.build, note: progress.note, signal })
  try {
    const packages = await resolvePackages(workshop, request, progress, signal)
    const closure = await closureFor(workshop, packages, progress)
    const layers = await plannedLayers(workshop, request, packages, closure, options, progress)
    const found = {
      image: `${formatImageName(request)}:${request.tag}`,
      strategy: options.strategy,
      packages: packages.map(({ attribute, version, outputPath }) => ({
        attribute,
        version,
        path: outputPath,
      })),
      paths: closure.paths.size,
      narSize: layers.reduce((sum, { narSize }) => sum + narSize, 0),
      layers,
    }
    progress.done(
      `${found.image}: ${counted(layers.length, 'layer')}, ${counted(found.paths, 'store path')}, ${bytesText(found.narSize)}`,
    )
    process.stdout.write(`${options.json ? jsonLine(found) : printable(table(layers))}\n`)
  } finally {
    await workshop.close()
  }
}

const emitOf =
  (progress: Progress): Emit =>
  (event) =>
    progress.build('plan', event)

async function resolvePackages(
  workshop: Workshop,
  request: ImageRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<ResolvedPackage[]> {
  const pinned = await workshop.source.pin(request.tag)
  return resolve(workshop, request, pinned, { signal, emit: emitOf(progress) })
}

/** As the builder gets it: from what is known, else from Nix, which must realise what it is to tell sizes of. */
async function closureFor(
  { catalog, nix }: Workshop,
  packages: readonly ResolvedPackage[],
  progress: Progress,
): Promise<Closure> {
  const roots = packages.map(({ outputPath }) => outputPath)
  const known = await knownClosure(catalog, roots)
  if (known) return known
  const started = performance.now()
  const watch = { onLine: (line: string) => progress.emit({ type: 'nix', line }) }
  return nix.withRealised(packages, watch, async () => {
    const facts = await nix.closureFacts(roots, watch)
    const narBytes = facts.reduce((sum, { narSize }) => sum + narSize, 0)
    progress.emit({ type: 'realised', paths: facts.length, narBytes, ms: performance.now() - started })
    await catalog.rememberPathFacts(facts)
    return closureOf(roots, facts)
  })
}

type PlannedLayer = {
  readonly number: number
  /** Bytes of its store paths. */
  readonly narSize: number
  /** Of a layer that was packed before. */
  readonly digest: Layer['digest'] | undefined
  readonly size: number | undefined
  readonly comment: string
  readonly paths: readonly StorePath[]
}

async function plannedLayers(
  workshop: Workshop,
  { platform }: ImageRequest,
  packages: readonly ResolvedPackage[],
  closure: Closure,
  { strategy }: Options,
  progress: Progress,
): Promise<PlannedLayer[]> {
  const { packer } = workshop
  const roots = packages.map(({ outputPath }) => outputPath)
  const layerOptions = { ...workshop.layering(), strategy, compressorId: packer.compressorId }
  const wanted = wantedLayers(closure, roots, platform, layerOptions, emitOf(progress))
  const known = await knownLayers({ ...workshop, packing: createFlights<Layer>() }, wanted)
  progress.emit({ type: 'planned', layers: wanted.length, known: known.size })
  return wanted.map(({ key, narSize, paths, comment }, index) => {
    const layer = known.get(key)
    return { number: index + 1, narSize, digest: layer?.digest, size: layer?.size, comment, paths }
  })
}

function table(layers: readonly PlannedLayer[]): string {
  const packed = layers.flatMap(({ size }) => size ?? [])
  const total = packed.length === layers.length ? bytesText(sum(packed)) : '?'
  const rows = [
    ['layer', 'unpacked', 'packed', 'paths', 'contents'],
    ...layers.map(({ number, narSize, size, comment, paths }) => [
      String(number),
      paths.length === 0 ? '' : bytesText(narSize),
      size === undefined ? '?' : bytesText(size),
      String(paths.length),
      paths.length === 0 ? comment : named(paths),
    ]),
    [
      '',
      bytesText(sum(layers.map(({ narSize }) => narSize))),
      total,
      String(sum(layers.map(({ paths }) => paths.length))),
      '',
    ],
  ]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padStart(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

function named(paths: readonly StorePath[]): string {
  const first = paths.slice(0, 4).map(storePathName).join(', ')
  return paths.length > 4 ? `${first} and ${paths.length - 4} more` : first
}
