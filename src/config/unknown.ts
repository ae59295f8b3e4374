import { distance } from 'fastest-levenshtein'

/** The problems of variables that look like settings but are not. */
export type UnknownVariables = { readonly refused: readonly string[]; readonly warnings: readonly string[] }

const ours = /^(NIXERY|S3|GCS)_/

/** Read by the container's entry point (packaging/entrypoint) and not by the program. */
const entryPoint: ReadonlySet<string> = new Set(['NIXERY_SANDBOX', 'NIXERY_PRELAUNCH'])

/** Settings of access. If a misspelled one had no effect, the server would be open against the operator's intent. */
const deciding = [
  'NIXERY_ALLOW',
  'NIXERY_DENY',
  'NIXERY_REFS',
  'NIXERY_AUTH',
  'NIXERY_POLICY',
  'NIXERY_HTPASSWD',
]

// The maximum edit distance to a setting of access.
const closeToDeciding = 2
/** The maximum edit distance to a suggested name: smaller for short names. */
const closeEnough = (name: string): number => Math.min(4, Math.floor(unprefixed(name).length / 3))

/** Some settings have no prefix: PORT, STORAGE_PATH. */
const unprefixed = (name: string): string => name.replace(ours, '')

/**
 * Finds variables that carry this program's prefixes but name no setting, with the nearest one that exists.
 * @param known the names of all settings
 */
export function unknownVariables(
  environment: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): UnknownVariables {
  const refused: string[] = []
  const warnings: string[] = []
  for (const [name, value = ''] of Object.entries(environment)) {
    if (!ours.test(name) || known.includes(name) || entryPoint.has(name)) continue
    if (isFromKubernetes(name, value)) continue
    const similar = known.includes(unprefixed(name))
      ? unprefixed(name)
      : nearest(name, [...known, ...deciding], closeEnough(name))
    const suggestion = similar !== undefined && known.includes(similar) ? `; did you mean ${similar}?` : ''
    const access = nearest(name, deciding, closeToDeciding)
    if (access === undefined) warnings.push(`${name}: no such setting${suggestion}`)
    else if (known.includes(access)) {
      refused.push(`${name}: no such setting; did you mean ${access}, which controls access?`)
    } else refused.push(`${name}: this version does not know this setting, so it would not protect anything`)
  }
  return { refused, warnings }
}

/** The candidate that differs from a name in the fewest letters, `most` at most. */
export function nearest(name: string, candidates: readonly string[], most: number): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best && best.distance <= most ? best.candidate : undefined
}

/**
 * Kubernetes puts the addresses of all services of a namespace into each container's environment: a service called
 * `nixery` sets NIXERY_SERVICE_HOST, NIXERY_PORT=tcp://… and NIXERY_PORT_8080_TCP_ADDR
 * (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
 */
const isFromKubernetes = (name: string, value: string): boolean =>
  /_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?$/.test(name) ||
  (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))
