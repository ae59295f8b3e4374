import { run, type RunOptions, type RunResult } from './process.ts'
import { unreachable } from './unreachable.ts'

/**
 * Settings for every git process. A repository cannot start programs, there are no password prompts, and a transfer is
 * given up after two minutes without data.
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
    // This program parses the messages, so they must be in English.
    environment: { ...options.environment, GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' },
  })

/**
 * Runs git on local objects only. Otherwise git would fetch objects that a partial clone lacks from the remote: any
 * commit that the server has, reachable or not.
 */
export const localGit = (args: readonly string[], options: RunOptions): Promise<RunResult> =>
  git(args, {
    ...options,
    environment: { ...options.environment, GIT_ALLOW_PROTOCOL: 'none', GIT_NO_LAZY_FETCH: '1' },
  })

/** Refs beyond this number are not read: a bound on memory. */
const mostRefs = 200_000

/**
 * Parses lines with an object name and a ref. An annotated tag is an object of its own; its line with `^{}` has the
 * commit.
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
 * @param narrow list only branches and tags, which spares the server from listing all pull requests
 * @returns commits by ref; empty if there are none
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
