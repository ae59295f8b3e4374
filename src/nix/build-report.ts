import { beginsError, continuesError, nixErrorOf } from './nix-error.ts'

/** Collects why builds fail from the output of Nix and its builders, line by line, in bounded memory. */
export type BuildReport = {
  /** @param builder the derivation whose builder printed the line; undefined for Nix, or if unknown */
  take(line: string, builder?: string): void
  /** The reason: each package that itself failed, with its builder's last lines; otherwise Nix's errors. */
  text(): string
  /** The last lines of the builder that printed last, below the name of its package; empty if nothing was built. */
  lastLines(): string
  /** Whether any error of Nix matches. */
  hasError(pattern: RegExp): boolean
}

type Failure = { readonly drv: string; readonly reason: string; readonly lines: readonly string[] }

const mostLines = 15
const mostFailures = 3
const mostBuilders = 128
const mostErrors = 50
const mostLinesOfError = 25

// Progress messages of Nix, and messages about the garbage collector roots of this program.
const noise =
  /^(?:warning:|error \(ignored\):|building '|copying path '|th(?:is|ese) .*will be (?:built|fetched)|\s+\/nix\/store\/|waiting for (?:locks? |exclusive )|\(use '--show-trace')/

/** @param wanted the requested derivations; a failure of another one is reported as a dependency of one of these */
export function createBuildReport(wanted: readonly string[] = []): BuildReport {
  const tails = new Map<string | undefined, string[]>() // the builder that printed last is last
  const failures: Failure[] = []
  const errors: (readonly string[])[] = []
  let failed = 0
  let needing: string | undefined // a requested derivation that fails because a dependency does
  let error: string[] | undefined // the error whose lines are being read

  const keep = (line: string, builder: string | undefined) => {
    const tail = tails.get(builder) ?? []
    tails.delete(builder)
    tails.set(builder, tail)
    if (line.trim() !== '') tail.push(line)
    if (tail.length > mostLines) tail.shift()
    if (tails.size > mostBuilders) tails.delete(tails.keys().next().value)
  }
  const endError = () => {
    const found = error && nixErrorOf(error)
    error = undefined
    if (found?.kind === 'cascade') {
      if (found.drv !== undefined && wanted.includes(found.drv)) needing = found.drv
    } else if (found?.kind === 'other') {
      if (errors.length < mostErrors) errors.push(found.lines)
    } else if (found) {
      failed += 1
      // If lines do not name their builder, all lines are under undefined.
      const builder = tails.get(found.drv)?.length ? found.drv : undefined
      if (failures.length < mostFailures) failures.push({ ...found, lines: tails.get(builder) ?? [] })
      tails.delete(builder)
    }
  }
  const headOf = ({ drv, reason, lines }: Failure) => {
    const dependency = wanted.length > 0 && !wanted.includes(drv)
    const user = needing === undefined ? 'the image' : nameOf(needing)
    return `${nameOf(drv)}${dependency ? `, which ${user} needs,` : ''} ${reason}${lines.length > 0 ? ':' : ''}`
  }

  return {
    take(line, builder) {
      if (builder !== undefined) return keep(line, builder)
      if (error && continuesError(line) && !beginsError(line)) {
        if (error.length < mostLinesOfError) error.push(line)
        return
      }
      endError()
      if (beginsError(line)) error = [line]
      else if (line.startsWith("building '")) keep('', drvOf(line))
      else if (!noise.test(line)) keep(line, undefined)
    },
    text() {
      endError()
      if (failures.length > 0) {
        const others = failed - failures.length
        const reported = failures.flatMap((failure) => [headOf(failure), ...failure.lines])
        return unindented(others > 0 ? [...reported, `and ${others} more`] : reported)
      }
      const said = errors.flat().slice(0, mostLinesOfError)
      const before = (tails.get(undefined) ?? []).slice(-mostLines + 1)
      return unindented([...before, ...said]) || 'Nix gave no reason'
    },
    lastLines() {
      endError()
      const [drv, lines] = [...tails].findLast(([builder]) => builder !== undefined) ?? []
      if (drv === undefined) return unindented(tails.get(undefined) ?? [])
      const last = lines?.length ? lines : (tails.get(undefined) ?? [])
      return last.length === 0 ? nameOf(drv) : unindented([`${nameOf(drv)}:`, ...last])
    },
    hasError(pattern) {
      endError()
      return (
        errors.flat().some((line) => pattern.test(line)) ||
        failures.some(({ reason }) => pattern.test(reason))
      )
    },
  }
}

/** `/nix/store/…-hello-2.12.drv` → `hello-2.12` */
const nameOf = (drv: string): string => drv.replace(/^.*\/[0-9a-z]{32}-/, '').replace(/\.drv$/, '')

const drvOf = (line: string): string | undefined => /'(?<drv>[^']+\.drv)/.exec(line)?.groups?.['drv']

/** Removes the indentation that Nix adds to all lines of an error but the first. */
const unindented = (lines: readonly string[]): string =>
  lines.map((line) => line.replace(/^ {7}/, '')).join('\n')
