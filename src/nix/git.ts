import { run, type RunOptions, type RunResult } from './process.ts'
import { unreachable } from './unreachable.ts'

/**
 * Settings for every git process. Nothing that a repository holds may start a program, nobody is asked for a
 * password, and a server that sends nothing for two minutes is given up.
 */
const settings = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'credential.interactive=false',
  'protocol.ext.allow=never',
  'submodule.recurse=false',
  'gc.autoDetach=false',
  'http.lowSpeedLimit=1',
  'http.lowSpeedTime=120',
].flatMap((setting) => ['-c', setting])

/**
 * Runs git with the operator's configuration and credentials, but never interactively.
 * @throws CANCELLED, NIX_UNAVAILABLE when there is no git
 */
export const git = (args: readonly string[], options: RunOptions): Promise<RunResult> =>
  run('git', [...settings, ...args], {
    ...options,
    // Messages are read by this program, so they must be in English.
    environment: { ...options.environment, GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' },
  })

/**
 * Runs git on what is here already. Without this, git would fetch an object that a partial clone lacks from the
 * remote: any commit that the server holds, reachable or not.
 */
export const localGit = (args: readonly string[], options: RunOptions): Promise<RunResult> =>
  git(args, {
    ...options,
    environment: { ...options.environment, GIT_ALLOW_PROTOCOL: 'none', GIT_NO_LAZY_FETCH: '1' },
  })

/** Refs beyond this number are not read: a bound on memory. */
const mostRefs = 200_000

/**
 * Reads lines of an object name and a ref. An annotated tag is an object of its own; the line with `^{}` has the
 * commit that it names.
 * @returns object by ref, in the order of the lines
 */
export function parseRefs(text: string): Map<string, string> {
  const refs = new Map<string, string>()
  for (const match of text.matchAll(/^([0-9a-f]{40})[\t ](\S+)$/gm)) {
    const [, object = '', name = ''] = match
    if (refs.size >= mostRefs) break
    refs.set(name.replace(/\^\{\}$/, ''), object)
  }
  return refs
}

/**
 * Branches, tags and other refs of a remote repository.
 * @param narrow whether branches and tags are enough, which saves the server from listing all pull requests
 * @returns commit by ref; empty if there is none
 * @throws SOURCE_UNREACHABLE with git's reason, CANCELLED
 */
export async function remoteRefs(
  url: string,
  narrow: boolean,
  options: RunOptions,
): Promise<Map<string, string>> {
  const which = narrow ? ['--heads', '--tags'] : []
  const listed = await git(['ls-remote', ...which, '--', url], options)
  if (!listed.ok) throw unreachable(listed)
  return parseRefs(listed.stdout)
}
