/**
 * Whether an evaluation that failed with this message fails with it whenever the same revision is evaluated. Only what
 * is known to come from the code itself does: a file that could not be fetched, a build that failed, a process that was
 * killed or ran out of memory may succeed the next time.
 * @param thrown whether the failure is one that `builtins.tryEval` catches: `throw` or `assert`
 */
export function isLasting(message: string, thrown: boolean): boolean {
  if (passing.test(message)) return false
  return thrown || (message.startsWith('error: ') && certain.test(message.split('\n', 1)[0] ?? ''))
}

// Found anywhere in the message, and a `throw` may quote it. A wrong hit costs an evaluation every few seconds, a miss
// may keep a package away for as long as the revision is served.
const passing = new RegExp(
  [
    'unable to (download|connect)',
    'cannot (download|fetch|build|connect|allocate)',
    'could not (download|fetch|resolve|connect)|couldn.t (resolve|connect)',
    'failed to (fetch|download|connect)',
    'timed? ?out|timeout',
    'builder for |build(ing)? of .* failed',
    'out of memory|no space left|resource temporarily unavailable|too many open files|input/output error',
    'was ended by|interrupted|broken pipe|connection (reset|refused)|network is unreachable',
    'database .*(busy|locked)',
  ].join('|'),
  'i',
)

// The messages of Nix 2.3 to 2.34 for code that cannot be evaluated (libexpr: eval.cc, parser.y, primops.cc).
const certain = new RegExp(
  [
    'infinite recursion encountered|stack overflow|max-call-depth exceeded',
    "attribute '.*' (missing|already defined)|undefined variable|syntax error",
    'evaluation aborted with the following error message',
    'cannot (coerce|add|convert|compare|decode) ',
    'called with(out required| unexpected) argument',
    'attempt to call something which is not a function',
    '(value is|expected) .* (while|but found) |is not (a|an) [a-z]+$',
    'division by zero|out of bounds|is not allowed to refer to',
    'contains (the illegal|an? (illegal|invalid)) character|is not valid.*store path|invalid store path',
  ].join('|'),
)
