import { join } from 'node:path'
import { execa } from 'execa'
import { readConfig } from '../src/config.ts'
import { packAlone } from './floors.ts'

const launcher = join(import.meta.dirname, '..', 'bin', 'nixery')

/** The layers of an image without the layer of links: their store paths, and the bytes of those. */
export type ImageLayers = readonly { readonly paths: readonly string[]; readonly size: number }[]

/** Plans an image like a server with this environment, and realises it, so that its store paths exist. */
export async function planImage(
  name: string,
  environment: Record<string, string>,
  signal: AbortSignal,
): Promise<ImageLayers> {
  const { NIXERY_STRATEGY } = readConfig(environment)
  const { stdout } = await execa(launcher, ['plan', '--json', '--strategy', NIXERY_STRATEGY, name], {
    env: environment,
    stdin: 'ignore',
    cancelSignal: signal,
  })
  const { layers } = JSON.parse(stdout) as { layers: { narSize: number; paths: string[] }[] }
  return layers
    .filter(({ paths }) => paths.length > 0)
    .map(({ paths, narSize }) => ({ paths, size: narSize }))
}

/** The cost of packing the layers of an image: milliseconds per round, and bytes of output. */
export const packLayers = (
  layers: ImageLayers,
  rounds: number,
  environment: Record<string, string>,
  signal: AbortSignal,
) => packAlone({ layers, rounds, warm: true }, environment, signal)
