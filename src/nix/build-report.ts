import { beginsError, continuesError, nixErrorOf } from './nix-error.ts'

/** Collects why builds fail from what Nix and its builders say, line by line, in bounded memory. */
export type BuildReport = {
  /** @param builder the derivation whose builder said it; undefined for Nix, or where that is not known */
  take(line: string, builder?: string): void
  /** Why: each package that failed by itself, with its builder's last lines; else what Nix says. */
  text(): string
  /** The last lines of the builder that spoke last, below its package's name; empty if nothing was built. */
  lastLines(): string
  /** Whether an error of Nix is one of these. */
  hasError(pattern: RegExp): boolean
}

type Failure = { readonly drv: string; readonly reason: string; readonly lines: readonly string[] }

const mostLines = 15
const mostFailures = 3
const mostBuilders = 128
const mostErrors = 50
const mostLinesOfError = 25

// What Nix announces, and what this program has it do.
const noise =
  /^(?:warning:|error \(ignored\):|building '|copying path '|th(?:is|ese) .*will be (?:built|fetched)|\s+\/nix\/store\/|waiting for (?:locks? |exclusive )|\(use '--show-trace')/

/** @param wanted derivations that were asked for: others are named as what one of these needs */
export function createBuildReport(wanted: readonly string[] = []): BuildReport {
  const tails = new Map<string | undefined, string[]>() // the builder that spoke last stands last
  const failures: Failure[] = []
  const errors: (readonly string[])[] = []
  let failed = 0
  let needing: string | undefined // what was asked for, and fails because another does
  let error: string[] | undefined // the one whose lines are coming

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
      // Where lines do not say which builder they are from, they are all here.
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
        const told = failures.flatMap((failure) => [headOf(failure), ...failure.lines])
        return unindented(others > 0 ? [...told, `and ${others} more`] : told)
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

/** Without the indentation that Nix gives all lines but an error's first. */
const unindented = (lines: readonly string[]): string =>
  lines.map((line) => line.replace(/^ {7}/, '')).join('\n')
