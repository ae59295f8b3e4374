/** The purpose of a Nix or git process, which decides its environment; see docs/security.md. */
export type Purpose = 'evaluate' | 'fetch' | 'realise'

/** The complete environment of a process. */
export type Environment = Readonly<Record<string, string>>

export type EnvironmentOptions = {
  /** A folder of this program's own, without files of the operator: the HOME of evaluations. */
  readonly home: string
  /** Additional variables to pass (`NIXERY_NIX_ENV`). */
  readonly pass?: readonly string[]
  /** Variables that are never passed: this program's own settings. */
  readonly withhold?: readonly string[]
}

/** Needed by every program: paths of programs and temporary files, language, time zone. */
const basic = /^(PATH|TMPDIR|LANG|LANGUAGE|LC_[A-Z]+|LOCALE_ARCHIVE|TZ|TZDIR|USER|LOGNAME)$/
/** Certificates and proxies: evaluations and builds also fetch. */
const network =
  /^(NIX_SSL_CERT_FILE|SSL_CERT_FILE|SSL_CERT_DIR|CURL_CA_BUNDLE|(https?|ftp|all|no)_proxy|(HTTPS?|FTP|ALL|NO)_PROXY)$/
/** The Nix store, its folders, and the search path for `<nixpkgs>`. */
const store =
  /^(NIX_PATH|NIX_REMOTE|NIX_STORE|(NIX_STORE|NIX_DATA|NIX_LOG|NIX_LOCALSTATE|NIX_STATE|NIX_CONF|NIX_BIN|NIX_LIBEXEC)_DIR|NIX_DAEMON_SOCKET_PATH|NIX_IGNORE_SYMLINK_STORE|GC_[A-Z_]+)$/
/** The operator's files and ssh settings: for private sources and remote builders. */
const own =
  /^(HOME|XDG_(CONFIG|CACHE|DATA|STATE)_HOME|XDG_(CONFIG_DIRS|RUNTIME_DIR)|NIX_(CONFIG|CACHE|DATA|STATE)_HOME|NIX_USER_CONF_FILES|NIX_CONFIG|NIX_REMOTE_SYSTEMS|NIX_SSHOPTS|SSH_[A-Z_]+)$/
/** Settings of git, except variables that select another repository (`GIT_DIR`, `GIT_WORK_TREE`, …). */
const git =
  /^(GIT_(SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|CONFIG_[A-Z0-9_]+|PROXY_[A-Z_]+|SSL_[A-Z_]+|HTTP_[A-Z_]+|ALLOW_PROTOCOL|PROTOCOL|EXEC_PATH|TRACE[A-Z_0-9]*|CURL_VERBOSE)|GNUPGHOME|KRB5[A-Z_]+|EMAIL)$/
const aws = /^AWS_[A-Z0-9_]+$/

const allowed: Readonly<Record<Purpose, readonly RegExp[]>> = {
  evaluate: [basic, network, store],
  fetch: [basic, network, store, own, git],
  realise: [basic, network, store, own, aws],
}

/**
 * The environment of a process: the variables that are allowed for its purpose, and no others.
 * @param from the environment of this program
 * @param settings lines of Nix configuration to put before the operator's own, which take precedence
 */
export function environmentFor(
  purpose: Purpose,
  from: Readonly<Record<string, string | undefined>>,
  { home, pass = [], withhold = [] }: EnvironmentOptions,
  settings: readonly string[] = [],
): Environment {
  const environment: Record<string, string> = {}
  for (const [name, value] of Object.entries(from)) {
    const passed = pass.includes(name) || allowed[purpose].some((pattern) => pattern.test(name))
    if (value !== undefined && passed && !withhold.includes(name)) environment[name] = value
  }
  const configuration = from['NIX_CONFIG'] ?? ''
  const theirs = purpose === 'evaluate' ? withoutSecrets(configuration) : configuration
  if (settings.length > 0 || theirs !== '') environment['NIX_CONFIG'] = [...settings, theirs].join('\n')
  // Nix does not start for a user id without an entry in the user database (`podman run --user 1000`), unless this is set.
  environment['USER'] ??= 'nixery'
  if (purpose === 'evaluate') Object.assign(environment, homeOfEvaluation(home))
  if (purpose === 'fetch') {
    // No one is there to enter a password.
    environment['GIT_TERMINAL_PROMPT'] = '0'
    if (environment['GIT_SSH'] === undefined) environment['GIT_SSH_COMMAND'] ??= 'ssh -oBatchMode=yes'
  }
  return environment
}

/** HOME alone is not enough: if it is not readable, Nix uses the home folder of the user database. */
const homeOfEvaluation = (home: string) => ({
  HOME: home,
  XDG_CONFIG_HOME: `${home}/config`,
  XDG_CACHE_HOME: `${home}/cache`,
  XDG_DATA_HOME: `${home}/data`,
  XDG_STATE_HOME: `${home}/state`,
  XDG_CONFIG_DIRS: `${home}/config`,
})

/** Settings of Nix that hold secrets, name files with secrets, or include files that may have them. */
const secretSetting = /^(extra-)?(access-tokens|netrc-file|secret-key-files)$|^!?include$/

/** A URL with a password or a token. For ssh, a user name alone is not a secret. */
const secretAddress = /https?:\/\/[^/\s]*@|:\/\/[^/\s@]*:[^/\s]*@|[?&][a-z_-]*(token|secret|key|password)=/i

/** Nix configuration without secrets and comments. */
export const withoutSecrets = (configuration: string): string =>
  configuration
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
    .filter((line) => !secretSetting.test(/^[^\s=]*/.exec(line)?.[0] ?? '') && !secretAddress.test(line))
    .join('\n')
