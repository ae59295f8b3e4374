import type { ImageConfig } from './oci.ts'
import { byText } from './store-path.ts'

/** Merges two values of PATH: the folders of the first before those of the second, each once. */
const joinedPath = (first: string, second: string): string =>
  [...new Set([...first.split(':'), ...second.split(':')])].filter((folder) => folder !== '').join(':')

/** Variables by name, as `NAME=value`. */
const byName = (env: readonly string[]): Map<string, string> =>
  new Map(env.map((text) => [text.slice(0, text.indexOf('=')), text]))

/**
 * Merges the variables of every image with those of a base: ours replace the base's, but PATH contains the folders of
 * both, ours first.
 */
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
 * Merges a config with that of a base, like a Dockerfile with its `FROM`: labels, ports and volumes are combined, an
 * entry point without a command drops the base's command, and for everything else ours takes precedence. Variables are
 * not changed.
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
