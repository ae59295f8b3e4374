import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, styleText } from 'node:util'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { ensurePrograms } from '../scripts/install.ts'
import { readConfig, variables } from '../src/config.ts'
import { NixeryError } from '../src/errors.ts'
import type { Case } from './case.ts'
import { access } from './cases/access.ts'
import { blob } from './cases/blob.ts'
import { cache } from './cases/cache.ts'
import { catalog } from './cases/catalog.ts'
import { cold } from './cases/cold.ts'
import { combination } from './cases/combination.ts'
import { fleet } from './cases/fleet.ts'
import { large } from './cases/large.ts'
import { nixpkgs } from './cases/nixpkgs.ts'
import { plan } from './cases/plan.ts'
import { restart } from './cases/restart.ts'
import { bare, same } from './cases/same.ts'
import { search } from './cases/search.ts'
import { together } from './cases/together.ts'
import { trace } from './cases/trace.ts'
import { withContext, type ContextOptions } from './context.ts'
import { writeDocument } from './document.ts'
import { describeMachine, tooBusy } from './machine.ts'
import { createProgress } from './progress.ts'
import { caseLines, headLine, machineLines, summaryLine } from './report.ts'
import { readResults, writeResults, type CaseResult, type Results } from './results.ts'

const cases: readonly Case[] = [
  cold,
  cache,
  combination,
  same,
  bare,
  restart,
  blob,
  together,
  plan,
  large,
  catalog,
  search,
  nixpkgs,
  trace,
  access,
  fleet,
]

const usage = `usage: npm run bench -- [options]
  --only CASE        one of: ${cases.map(({ name }) => name).join(' ')}; may be repeated
  --runs N           how often to repeat each measurement (5; with --quick 2)
  --quick            small inputs and few runs, to check that the benchmark works
  --slow             also cases that take minutes to prepare the first time
  --set NAME=VALUE   a setting for every server; may be repeated
  --json FILE        also write the results to this file; they are always in bench/results/
  --compare FILE     compare with the results of an earlier run
  --write-docs FILE  only write these results into docs/performance.md`

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    runs: { type: 'string' },
    quick: { type: 'boolean', default: false },
    slow: { type: 'boolean', default: false },
    set: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    compare: { type: 'string' },
    'write-docs': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const progress = createProgress()
const say = (...lines: string[]) => progress.print(lines)
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort())

async function measure(one: Case, given: ContextOptions): Promise<CaseResult> {
  const started = performance.now()
  const took = () => (performance.now() - started) / 1000
  const { name, what } = one
  try {
    const rows = await withContext(
      { ...given, say: (line) => progress.show(`${name}: ${line}`) },
      (context) => one.run(context),
    )
    return { name, what, took: took(), rows }
  } catch (error) {
    if (stop.signal.aborted) throw error
    const failed = error instanceof Error ? error.message.slice(0, 2_000) : String(error)
    return { name, what, took: took(), rows: [], failed }
  }
}

function chosenCases(): readonly Case[] {
  const { only = [] } = options
  const unknown = only.find((name) => cases.every((one) => one.name !== name))
  if (unknown !== undefined) throw new Error(`unknown case: ${unknown}\n${usage}`)
  return only.length > 0 ? cases.filter(({ name }) => only.includes(name)) : cases
}

/** The settings of `--set`. Those of the user's environment are removed, so that the defaults are the same everywhere. */
function readSettings(): Record<string, string> {
  const settings = Object.fromEntries(
    options.set.map((text) => {
      const at = text.indexOf('=')
      return [text.slice(0, at), text.slice(at + 1)]
    }),
  )
  const known = variables().map(({ name }) => name)
  const unknown = Object.keys(settings).find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`--set: unknown setting ${unknown}`)
  for (const name of known) delete process.env[name]
  return settings
}

async function bench(): Promise<boolean> {
  const runs = Number(options.runs ?? (options.quick ? 2 : 5))
  if (!Number.isSafeInteger(runs) || runs < 1) throw new Error('--runs must be an integer, at least 1')
  const chosen = chosenCases()
  const settings = readSettings()
  const earlier = options.compare === undefined ? undefined : await readResults(options.compare)
  await ensurePrograms(['nix-store', 'git', 'wrk', 'libdeflate.so.0'], (line) => say(line))
  const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const packages = await ensureDemoPackageSet({
    directory: join(NIXERY_DATA, 'demo'),
    cacheDirectory: NIXERY_CACHE,
    architectures: [process.arch === 'arm64' ? 'arm64' : 'amd64'],
    progress: (line) => say(line),
    signal: stop.signal,
  })

  const machine = await describeMachine()
  const busy = tooBusy(machine)
  say(...machineLines(machine), ...options.set.map((text) => `with ${text}`))
  if (busy !== undefined) say(styleText('yellow', `warning: ${busy}`))
  if (earlier) say(`comparing with the run of ${earlier.time}, commit ${earlier.machine.commit}`)
  say(headLine())
  const time = new Date().toISOString()
  const started = performance.now()
  const found: CaseResult[] = []
  for (const one of chosen) {
    const cacheFolder = join(NIXERY_CACHE, 'bench')
    const { quick, slow } = options
    const given = { runs, quick, slow, cacheFolder, packages, settings, say, signal: stop.signal }
    const result = await measure(one, given)
    found.push(result)
    say(...caseLines(result, earlier))
  }
  const took = (performance.now() - started) / 1000
  const results: Results = {
    version: 1,
    time,
    machine,
    runs,
    quick: options.quick,
    settings,
    took,
    cases: found,
  }
  const folder = join(import.meta.dirname, 'results')
  await mkdir(folder, { recursive: true })
  const files = [join(folder, `${time.replaceAll(':', '-')}.json`)]
  if (options.json !== undefined) files.push(resolve(options.json))
  for (const file of files) await writeResults(file, results)
  say(`${summaryLine(results)} in ${Math.round(took)} s; results in ${files.join(' and ')}`)
  return found.every(({ failed }) => failed === undefined)
}

try {
  if (options.help) say(usage)
  else if (options['write-docs'] !== undefined)
    say(`wrote ${await writeDocument(await readResults(options['write-docs']))}`)
  else if (!(await bench())) process.exitCode = 1
} catch (error) {
  const hint = error instanceof NixeryError && error.hint !== undefined ? `\n  ${error.hint}` : ''
  const message = error instanceof Error ? error.message : String(error)
  const reason = stop.signal.aborted ? 'interrupted: no results were written' : message + hint
  process.stderr.write(`bench: ${reason}\n`)
  process.exitCode = 1
} finally {
  progress.clear()
}
