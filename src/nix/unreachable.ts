import { NixeryError, SourceLacks } from '../errors.ts'
import { messageOf } from './message.ts'
import type { Failed } from './process.ts'

// Messages of curl, git and Nix if the server responded but does not have it; GitHub responds with 422 for a commit.
const notThere =
  /HTTP error (404|422)|couldn't find remote ref|unknown revision|Cannot find Git revision|not our ref/i

const noFlake = /could not find a flake\.nix file|does not contain a '[^']*flake\.nix'/
const flakeHint = 'the operator must set NIXERY_FLAKE to a reference to a flake, such as github:owner/name'

/**
 * The error for a failed fetch, with the reason from Nix or git: `SourceLacks` if the server responded but does not have
 * what was requested.
 */
export function unreachable({ timedOut, lines }: Pick<Failed, 'timedOut' | 'lines'>): NixeryError {
  const Unreachable = lines.some((line) => notThere.test(line)) ? SourceLacks : NixeryError
  return new Unreachable(
    'SOURCE_UNREACHABLE',
    `the package set cannot be fetched${timedOut ? ' in time' : ''}:\n${messageOf(lines)}`,
    { hint: lines.some((line) => noFlake.test(line)) ? flakeHint : 'try again later; the log has the cause' },
  )
}
