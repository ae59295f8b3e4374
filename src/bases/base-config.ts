import { z } from 'zod'
import { parseDigest, type Digest } from '../image/digest.ts'
import type { Healthcheck } from '../image/contents.ts'
import type { ImageConfig } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import { oneLine } from '../text/plain.ts'
import { jsonOf, otherPlatform, parsed } from './manifest.ts'

const words = z.array(z.string()).nullish()
const names = z.record(z.string(), z.unknown()).nullish()
const nanoseconds = z.number().min(0).nullish()

const form = z.object({
  os: z.string(),
  architecture: z.string(),
  rootfs: z.object({ diff_ids: z.array(z.string().transform((text) => parseDigest(text))) }),
  config: z
    .object({
      User: z.string().nullish(),
      Env: words,
      Entrypoint: words,
      Cmd: words,
      WorkingDir: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
      ExposedPorts: names,
      Volumes: names,
      StopSignal: z.string().nullish(),
      Healthcheck: z
        .object({
          Test: words,
          Interval: nanoseconds,
          Timeout: nanoseconds,
          StartPeriod: nanoseconds,
          Retries: z.number().nullish(),
        })
        .nullish(),
    })
    .nullish(),
})

/** The config of a base image, and the digests of its uncompressed layers. */
export type BaseConfig = { readonly config: ImageConfig; readonly diffIds: readonly Digest[] }

/** Reads the config of an image (OCI image spec, config.md). @throws BaseProblem, also for another platform */
export function readBaseConfig(text: string, { os, architecture }: Platform): BaseConfig {
  const read = parsed(form, jsonOf(text, 'its config'), 'its config')
  if (read.os !== os || read.architecture !== architecture) {
    throw otherPlatform(`it is for ${oneLine(`${read.os}/${read.architecture}`, 100)}`, architecture)
  }
  return { config: configOf(read.config ?? {}), diffIds: read.rootfs.diff_ids }
}

function configOf(given: NonNullable<z.infer<typeof form>['config']>): ImageConfig {
  const { Entrypoint, Cmd, User, WorkingDir, Labels, ExposedPorts, Volumes, StopSignal } = given
  const healthcheck = given.Healthcheck && healthcheckOf(given.Healthcheck)
  const [ports, volumes] = [Object.keys(ExposedPorts ?? {}), Object.keys(Volumes ?? {})]
  return {
    env: given.Env ?? [],
    ...(Entrypoint && Entrypoint.length > 0 && { entrypoint: Entrypoint }),
    ...(Cmd && Cmd.length > 0 && { cmd: Cmd }),
    ...(User && { user: User }),
    ...(WorkingDir && { workdir: WorkingDir }),
    ...(Labels && { labels: Labels }),
    ...(ports.length > 0 && { ports }),
    ...(volumes.length > 0 && { volumes }),
    ...(StopSignal && { stopSignal: StopSignal }),
    ...(healthcheck && { healthcheck }),
  }
}

type DockerHealthcheck = NonNullable<NonNullable<z.infer<typeof form>['config']>['Healthcheck']>

/** Docker's format. `NONE` disables the check. */
function healthcheckOf(given: DockerHealthcheck): Healthcheck | undefined {
  const [kind, ...rest] = given.Test ?? []
  const command = kind === 'CMD' ? rest : kind === 'CMD-SHELL' ? rest[0] : undefined
  if (command === undefined || command.length === 0) return undefined
  const seconds = (value: number | null | undefined) => (value ? value / 1e9 : undefined)
  const times = {
    interval: seconds(given.Interval),
    timeout: seconds(given.Timeout),
    startPeriod: seconds(given.StartPeriod),
    retries: given.Retries || undefined,
  }
  const set = Object.entries(times).filter((entry) => entry[1] !== undefined)
  return { command, ...(Object.fromEntries(set) as Omit<Healthcheck, 'command'>) }
}
