import type { Duplicate } from '../closure/duplicates.ts'
import type { Layer } from '../image/oci.ts'
import { storePathName, type StorePath } from '../image/store-path.ts'
import type { StrategyName } from '../layers/strategies.ts'
import { bytesText } from '../text/amounts.ts'

/** A planned layer of an image. */
export type PlannedLayer = {
  readonly number: number
  /** Bytes of its store paths. */
  readonly narSize: number
  /** Undefined if the layer has not been packed yet. */
  readonly digest: Layer['digest'] | undefined
  readonly size: number | undefined
  readonly comment: string
  readonly paths: readonly StorePath[]
}

/** Figures for comparing strategies. Sizes are in bytes of store paths. */
export type StrategyFacts = {
  readonly strategy: StrategyName
  readonly layers: number
  /** Layers with a single store path, which any image with that path can share. */
  readonly onePath: number
  readonly largest: number
  readonly median: number
  /** Layers that have not been packed yet, and their size. */
  readonly missing: number
  readonly missingSize: number
}

/** @param layers including the rootfs layer, which counts towards `layers` and `missing` only */
export function strategyFacts(strategy: StrategyName, layers: readonly PlannedLayer[]): StrategyFacts {
  const ofPaths = layers.filter(({ paths }) => paths.length > 0)
  const sizes = ofPaths.map(({ narSize }) => narSize).sort((a, b) => a - b)
  const missing = layers.filter(({ digest }) => digest === undefined)
  return {
    strategy,
    layers: layers.length,
    onePath: ofPaths.filter(({ paths }) => paths.length === 1).length,
    largest: sizes.at(-1) ?? 0,
    median: sizes[sizes.length >> 1] ?? 0,
    missing: missing.length,
    missingSize: sum(missing.map(({ narSize }) => narSize)),
  }
}

/** Formats layers as a table, with totals. */
export function layersTable(layers: readonly PlannedLayer[]): string {
  const packed = layers.flatMap(({ size }) => size ?? [])
  const total = packed.length === layers.length ? bytesText(sum(packed)) : '?'
  return aligned([
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
  ])
}

/** Formats the outputs of an image as a table. If two have the same file, the upper one wins. */
export const packagesTable = (
  packages: readonly { attribute: string; version: string; output: string; path: StorePath }[],
): string =>
  aligned([
    ['package', 'version', 'output', 'path'],
    ...packages.map(({ attribute, version, output, path }) => [attribute, version, output, path]),
  ])

const mostDuplicates = 10

/** Formats packages with several versions, and their additional size, as a table. */
export function duplicatesTable(duplicates: readonly Duplicate[]): string {
  const rest = duplicates.slice(mostDuplicates)
  const total = sum(duplicates.map(({ extra }) => extra))
  return aligned([
    ['more than once', 'costs', 'versions'],
    ...duplicates
      .slice(0, mostDuplicates)
      .map(({ name, versions, extra }) => [name, bytesText(extra), versions.join(', ')]),
    ...(rest.length > 0 ? [[`${rest.length} more`, bytesText(sum(rest.map(({ extra }) => extra))), '']] : []),
    ['', bytesText(total), ''],
  ])
}

/** Formats strategies as a table, for comparison. */
export const strategiesTable = (facts: readonly StrategyFacts[]): string =>
  aligned([
    ['strategy', 'layers', 'single path', 'largest', 'median', 'to pack', ''],
    ...facts.map(({ strategy, layers, onePath, largest, median, missing, missingSize }) => [
      strategy,
      String(layers),
      String(onePath),
      bytesText(largest),
      bytesText(median),
      String(missing),
      missing === 0 ? '' : bytesText(missingSize),
    ]),
  ])

/** Aligns all columns but the last to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0
  const widths = Array.from({ length: columns - 1 }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  )
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
