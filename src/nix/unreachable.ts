import { NixeryError, SourceLacks } from '../errors.ts'
import { messageOf } from './message.ts'
import type { Failed } from './process.ts'

// What curl, git and Nix say when the server answered but has no such thing; GitHub answers 422 for a commit.
const notThere =
  /HTTP error (404|422)|couldn't find remote ref|unknown revision|Cannot find Git revision|not our ref/i

/**
 * The failure of a fetch, with the reason that Nix or git gave: `SourceLacks` if the server answered and does not have
 * what was asked for.
 */
export function unreachable({ timedOut, lines }: Pick<Failed, 'timedOut' | 'lines'>): NixeryError {
  const Unreachable = lines.some((line) => notThere.test(line)) ? SourceLacks : NixeryError
  return new Unreachable(
    'SOURCE_UNREACHABLE',
    `the package set cannot be fetched${timedOut ? ' in time' : ''}:\n${messageOf(lines)}`,
    { hint: 'try again later; the operator finds the cause in the log' },
  )
}
