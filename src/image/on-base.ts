import type { ImageConfig } from './oci.ts'
import { byText } from './store-path.ts'

/** The folders of two values of PATH, those of the first before the others; each once. */
const joinedPath = (first: string, second: string): string =>
  [...new Set([...first.split(':'), ...second.split(':')])].filter((folder) => folder !== '').join(':')

/** Variables by name, as `NAME=value`. */
const byName = (env: readonly string[]): Map<string, string> =>
  new Map(env.map((text) => [text.slice(0, text.indexOf('=')), text]))

/** The variables of every image on those of a base: ours replace the base's, but PATH has the folders of both, ours first. */
export function environmentOn(base: readonly string[], ours: readonly string[]): string[] {
  const variables = byName(base.filter((text) => text.indexOf('=') > 0))
  const path = variables.get('PATH')
  for (const [name, text] of byName(ours)) {
    const both = name === 'PATH' && path !== undefined
    variables.set(name, both ? `PATH=${joinedPath(text.slice(5), path.slice(5))}` : text)
  }
  return [...variables.values()]
}

/**
 * The fields of a config on those of a base, as a Dockerfile's are on those of its `FROM`: labels, ports and volumes add up,
 * an entry point without a command drops the base's command, and of everything else ours counts. Variables are left as
 * they are.
 */
export function configOn(base: ImageConfig, ours: Partial<ImageConfig>): Omit<ImageConfig, 'env'> {
  const { env: _theirs, ...theirs } = base
  const { env: _ours, ...own } = ours
  const dropsCommand = own.entrypoint !== undefined && own.cmd === undefined
  const { cmd, ...withoutCommand } = theirs
  const union = (field: 'ports' | 'volumes') =>
    [...new Set([...(theirs[field] ?? []), ...(own[field] ?? [])])].sort(byText)
  const [ports, volumes] = [union('ports'), union('volumes')]
  return {
    ...withoutCommand,
    ...(cmd && !dropsCommand && { cmd }),
    ...own,
    ...((theirs.labels ?? own.labels) && { labels: { ...theirs.labels, ...own.labels } }),
    ...(ports.length > 0 && { ports }),
    ...(volumes.length > 0 && { volumes }),
  }
}
