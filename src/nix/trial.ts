import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Environment } from './environment.ts'
import { run } from './process.ts'

/** The result of a trial build: whether the builder was in a sandbox, or Nix's lines about why it failed. */
export type Trial =
  | { readonly built: true; readonly sandboxed: boolean }
  | { readonly built: false; readonly timedOut: boolean; readonly lines: readonly string[] }

/**
 * Evaluates a derivation without a Nix store.
 * @returns Nix's lines about why it failed; undefined if it did not
 * @throws NIX_UNAVAILABLE if there is no Nix, CANCELLED
 */
export async function tryEvaluation(
  environment: Environment,
  signal?: AbortSignal,
): Promise<readonly string[] | undefined> {
  const expression = '(derivation { name = "nixery-doctor"; system = "x"; builder = "/bin/sh"; }).drvPath'
  const args = ['--eval', '--store', 'dummy://', '--expr', expression]
  const result = await run('nix-instantiate', args, { environment, timeout: patience, signal })
  return result.ok ? undefined : result.lines
}

/** Milliseconds. Such a build or evaluation takes a fraction of a second. */
const patience = 30_000

/**
 * Builds a derivation that was never built before, and deletes its output: this shows whether Nix, its daemon, users,
 * sandbox and disk work together.
 * @param environment the complete environment, with NIX_CONFIG
 * @param file a file outside the Nix store, which no builder in a sandbox can read
 * @throws NIX_UNAVAILABLE if there is no Nix, CANCELLED
 */
export async function tryBuild(environment: Environment, file: string, signal?: AbortSignal): Promise<Trial> {
  // Nix's strings know \\, \" and ${.
  const text = (value: string) => JSON.stringify(value).replaceAll('${', '\\${')
  const script = `if test -e "$file"; then echo open; else echo sandboxed; fi >$out; :`
  const expression = `derivation {
    name = "nixery-doctor-${randomUUID()}"; system = builtins.currentSystem;
    builder = "/bin/sh"; args = [ "-c" ${text(script)} ]; file = ${text(file)};
  }`
  const args = ['--no-out-link', '--no-build-output', '--option', 'substitute', 'false', '--expr', expression]
  const result = await run('nix-build', args, { environment, timeout: patience, signal })
  if (!result.ok) return { built: false, timedOut: result.timedOut, lines: result.lines }
  const path = result.stdout.trim()
  const said = await readFile(path, 'utf8')
  await run('nix-store', ['--delete', path], { environment, timeout: patience, signal })
  return { built: true, sandboxed: said.trim() === 'sandboxed' }
}
