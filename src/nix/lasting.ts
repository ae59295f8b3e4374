/**
 * Whether every evaluation of the same revision fails with this message. This is only so for errors in the code itself: a
 * failed fetch or build, or a process that was killed or ran out of memory, may succeed the next time.
 * @param thrown whether `builtins.tryEval` catches the failure: `throw` or `assert`
 * @param folder the folder of the package set: a revision always has the same files
 */
export function isLasting(message: string, thrown: boolean, folder?: string): boolean {
  if (passing.test(message)) return false
  const absent = noFile.exec(message)?.groups?.['path']
  if (folder !== undefined && absent?.startsWith(`${folder}/`)) return true
  return thrown || (message.startsWith('error: ') && certain.test(message.split('\n', 1)[0] ?? ''))
}

// Matched anywhere in the message, even if a `throw` quotes it. A false match costs an evaluation every few seconds; a
// missed one may make a package unavailable for as long as the revision is served.
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

const noFile =
  /^error: (?:path|getting status of|opening file) '(?<path>[^']*)'(?: does not exist|: No such file)/

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
