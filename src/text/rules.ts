import { hidden } from './plain.ts'

/** A rule that hides one form of secret. It only applies to texts that contain `hint`. */
type Rule = {
  readonly hint: RegExp
  readonly pattern: RegExp
  /** The replacement; if undefined, the whole match is hidden. `$<before>` is kept. */
  readonly keep?: Keep
}

type Keep = (groups: Readonly<Record<string, string | undefined>>, all: string) => string

const before: Keep = ({ before: kept = '' }) => `${kept}${hidden}`

/** Hides the value after its name, unless the value is meaningless. */
const named =
  (isHarmless: (value: string, name: string) => boolean): Keep =>
  ({ before: kept = '', name = '', value = '' }, all) =>
    isHarmless(value, name) ? all : `${kept}${hidden}`

// Words in names of settings, headers, options and fields that hold secrets.
const strong =
  'passw(?:or)?d|passwd|passphrase|api[-_]?key|(?:access|account|private|signing|encryption)[-_]?key'
const weak = 'token|secret|credentials?|signature'
const rest = '[\\w-]{0,20}'
// What may surround a name and a value: quotes, with backslashes in JSON or in a shell word.
const quote = '\\\\{0,7}["\']'
const quoted = [
  // A string inside a string, to the next quote with the same number of backslashes.
  '(?<escapes>\\\\{1,7})(?<mark>["\'])(?:(?!(?<!\\\\)\\k<escapes>\\k<mark>).)*(?:\\k<escapes>\\k<mark>)?',
  '"(?:[^"\\\\]|\\\\.?)*"?',
  "''(?:(?!'').)*(?:'')?", // of Nix
  "'[^']*'?",
].join('|')
// A comma is part of the value, unless another setting follows.
const bare = '(?:[^\\s&,;"\']|,(?!\\s|$|[\\w-]{1,40}[=:]))+'
const value = `(?!(?:${quote})?${hidden})(?<value>${quoted}|${bare})`
const afterName = `(?:${quote})?\\s{0,9}`

const switches =
  /^["']?(?:true|false|yes|no|on|off|none|null|undefined|enabled|disabled|auto|required|optional)["']?$/i
const isSwitch = (text: string): boolean => switches.test(text)
/** `max_tokens=4096` is a count. */
const isCount = (text: string, name: string): boolean =>
  /tokens$|[_-]size$/i.test(name) && /^\d{1,7}$/.test(text)
/** For prose, such as a compiler's `unexpected token: identifier`: a secret contains digits, or is long. */
const isProse = (text: string): boolean => !/^["'].{4}/.test(text) && !(/\d/.test(text) || text.length >= 20)
const isVersion = (text: string): boolean => /^v?\d+(?:\.\d+){0,3}$/.test(text) && text.length < 12

/** Base64 of `user:password`, as it follows `Basic`. */
function isBasic(text: string): boolean {
  if (text.length % 4 !== 0) return false
  try {
    return /^[^\x00-\x1f\x7f]*:[^\x00-\x1f\x7f]*$/.test(atob(text))
  } catch {
    return false
  }
}

/**
 * The rules. Each takes time linear in the length of the line, which a builder chooses: no rule begins with an
 * unbounded repetition, and repetitions inside are bounded or cannot overlap their own beginning.
 */
const rules: readonly Rule[] = [
  // https://user:token@host. A password may contain `@`, and `/` if it was not encoded; a port is not a password.
  { hint: /:\/\//, pattern: /(?<before>:\/\/)[^\s/?#]*@/g, keep: ({ before: b = '' }) => `${b}${hidden}@` },
  {
    hint: /:\/\//,
    pattern: /(?<before>:\/\/)[^\s/:@]{1,200}:(?!\d{1,5}[/?#])[^\s@]{1,400}@/g,
    keep: ({ before: b = '' }) => `${b}${hidden}@`,
  },
  // Signed URLs, and keys in URLs.
  {
    hint: /sig=|key=|auth=|jwt=|pass=|pwd=/i,
    pattern: /(?<before>[?&](?:[\w-]{0,20}sig|key|auth|jwt|pass|pwd)=)[^\s&"'<>]+/gi,
    keep: before,
  },
  // Headers, and Nix settings that contain secrets: the rest of the line.
  {
    hint: /authorization|cookie|access-token/i,
    pattern: /(?<before>(?:authorization|(?:set-)?cookie|access-tokens?)["']?\s{0,9}[:=]\s{0,9}).+/gi,
    keep: before,
  },
  { hint: /bearer/i, pattern: /(?<before>\bbearer\s{1,9})[\w.~+/=-]{12,}/gi, keep: before },
  {
    hint: /basic/i,
    pattern: /(?<before>\bbasic\s{1,9})(?<value>[A-Za-z0-9+/]{4,}={0,2})/gi,
    keep: ({ before: kept = '', value: text = '' }, all) => (isBasic(text) ? `${kept}${hidden}` : all),
  },
  // netrc
  {
    hint: /login/i,
    pattern: /(?<before>\blogin\s{1,9}\S{1,200}\s{1,9}password\s{1,9})\S+/gi,
    keep: before,
  },
  {
    hint: /password/i,
    pattern:
      /^(?<before>\s{0,20}password\s{1,9})\S+(?=\s{0,9}(?:$|#|(?:account|login|machine|macdef|port)\s))/gi,
    keep: before,
  },
  // `password=…`, `GITHUB_TOKEN=…`, `AccountKey=…`, `X-Amz-Signature=…`, but not `PublicKeyToken=…`, which is part of
  // .NET assembly names.
  {
    hint: /pass|key|token|secret|credential|signature/i,
    pattern: new RegExp(
      `(?<before>(?<!public_?key)(?<name>(?:${strong}|${weak})${rest})${afterName}=\\s{0,9})${value}`,
      'gi',
    ),
    keep: named((text, name) => isSwitch(text) || isCount(text, name)),
  },
  // `password: …`, but not a file name: `/etc/passwd: No such file`.
  {
    hint: /pass|key/i,
    pattern: new RegExp(
      `(?<!/[\\w.-]{0,40})(?<before>(?:${strong})${rest}${afterName}:\\s{0,9})${value}`,
      'gi',
    ),
    keep: named(isSwitch),
  },
  {
    hint: /token|secret|credential|signature/i,
    pattern: new RegExp(
      `(?<!/[\\w.-]{0,40})(?<before>(?:${weak})${rest}${afterName}:\\s{0,9})${value}`,
      'gi',
    ),
    keep: named((text) => isSwitch(text) || isProse(text) || isVersion(text)),
  },
  // `DB_PASS: …`, but not `PASS: test-1` of a test suite.
  {
    hint: /pass/i,
    pattern: new RegExp(`(?<before>\\w_pass${afterName}[:=]\\s{0,9})${value}`, 'gi'),
    keep: named(isSwitch),
  },
  { hint: /pass=/, pattern: new RegExp(`(?<before>\\bpass=)${value}`, 'g'), keep: named(isSwitch) },
  // `Pwd=…` in a connection string, but not the variable `PWD=/build`.
  {
    hint: /pwd/i,
    pattern: new RegExp(`(?<before>\\bpwd${afterName}[:=]\\s{0,9})(?!/)${value}`, 'gi'),
    keep: named(isSwitch),
  },
  // Credentials of npm and Docker, but not the settings NIXERY_AUTH and NIXERY_INSECURE_AUTH.
  {
    hint: /auth/i,
    pattern: new RegExp(
      `(?<before>(?<!\\bnixery(?:_insecure)?)(?<name>\\b|_)auth${afterName}[:=]\\s{0,9})${value}`,
      'gi',
    ),
    keep: named((text, name) => isSwitch(text) || (name !== '_' && isProse(text))),
  },
  // `--token …`, `sshpass -p …`, `curl -u user:password`
  {
    hint: /pass|key|token|secret|credential|signature/i,
    pattern: new RegExp(`(?<before>--[\\w-]{0,20}(?:${strong}|${weak})\\s{1,9})(?![-\\s])${value}`, 'gi'),
    keep: before,
  },
  { hint: /sshpass/, pattern: /(?<before>\bsshpass\s{1,9}-p\s{0,9})\S+/g, keep: before },
  {
    hint: /-u|--proxy-user/,
    pattern:
      /(?<before>(?:\s|^)(?:-u|--user|--proxy-user)(?:=|\s{0,9}))(?<value>"[^":]{1,200}:[^"]+"?|'[^':]{1,200}:[^']+'?|[^\s:"'=-][^\s:"']{0,200}:[^\s"']+)/g,
    keep: ({ before: kept = '', value: text = '' }, all) =>
      /^\d+:\d+$/.test(text) ? all : `${kept}${hidden}`,
  },
  // A signing key of Nix: its name, and 64 bytes. A public key has 32.
  {
    hint: /==/,
    pattern: /(?<before>[\w.-]:)[A-Za-z0-9+/]{86}==/g,
    keep: before,
  },
  // Tokens with recognizable prefixes.
  {
    hint: /gh[opusr]_|github_pat_|gl[a-z]{2,4}-|xox|xapp-/,
    pattern:
      /(?<![A-Za-z0-9])(?:gh[opusr]_|github_pat_|gl(?:pat|ptt|dt|rt|cbt|oas|agent|soat|ft)-|xox[abeoprs]-|xapp-)[\w-]{10,}/g,
  },
  { hint: /A[KS]IA|A[BC]IA|ACCA/, pattern: /\b(?:A[KS]IA|A[BC]IA|ACCA)[0-9A-Z]{16}\b/g },
  { hint: /eyJ/, pattern: /(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}/g },
  { hint: /npm_|hf_/, pattern: /(?<![A-Za-z0-9])(?:npm|hf)_[A-Za-z0-9]{20,}/g },
  // This program's API keys.
  { hint: /nxk_/, pattern: /(?<![A-Za-z0-9])nxk_[0-9a-f]{16}_[\w-]{10,}/g },
  { hint: /dckr_/, pattern: /(?<![A-Za-z0-9])dckr_[a-z]{3}_[\w-]{10,}/g },
  { hint: /[sr]k_(?:live|test)_/, pattern: /(?<![A-Za-z0-9])[sr]k_(?:live|test)_[A-Za-z0-9]{10,}/g },
  { hint: /sk-/, pattern: /(?<![\w-])sk-(?:ant-[\w-]{20,}|proj-[\w-]{20,}|[A-Za-z0-9]{32,})/g },
  { hint: /AIza/, pattern: /(?<![\w-])AIza[\w-]{20,}/g },
  { hint: /ya29\./, pattern: /(?<![\w-])ya29\.[\w-]{20,}/g },
  { hint: /GOCSPX-/, pattern: /(?<![\w-])GOCSPX-[\w-]{10,}/g },
  { hint: /pypi-/, pattern: /(?<![\w-])pypi-[\w-]{50,}/g },
  { hint: /hv[sb]\./, pattern: /(?<![\w-])hv[sb]\.[\w-]{20,}/g },
  { hint: /SG\./, pattern: /(?<![\w-])SG\.[\w-]{16,}\.[\w-]{16,}/g },
  { hint: /do[por]_v1_/, pattern: /(?<![A-Za-z0-9])do[por]_v1_[0-9a-f]{32,}/g },
  { hint: /AGE-SECRET-KEY-1/, pattern: /AGE-SECRET-KEY-1[0-9A-Z]{20,}/g },
]

/** Whether any rule could match a text; if not, the rules can be skipped. */
export const anyHint = new RegExp(rules.map(({ hint }) => hint.source).join('|'), 'i')

/** Applies the rules to a line. */
export function hideForms(line: string): string {
  if (!anyHint.test(line)) return line
  let text = line
  for (const { hint, pattern, keep } of rules) {
    if (!hint.test(line)) continue
    text = text.replace(pattern, (...found: unknown[]) => {
      const groups = found.at(-1)
      if (!keep || typeof groups !== 'object' || groups === null) return hidden
      return keep(groups as Record<string, string | undefined>, String(found[0]))
    })
  }
  return text
}
