import { Argument, type Command } from 'commander'
import { NixeryError } from '../errors.ts'

const shells = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof shells)[number]

/** A command in the scripts: the words that name it, its description, and the words that may follow. */
type Row = {
  readonly path: readonly string[]
  readonly description: string
  readonly words: readonly string[]
  /** Options and subcommands, with their descriptions. */
  readonly hints: readonly (readonly [word: string, description: string])[]
}

/** @param wholeProgram a program with all commands and their options */
export const setUp =
  (wholeProgram: () => Promise<Command>) =>
  (command: Command): void => {
    command
      .addArgument(new Argument('<shell>', 'the shell whose completion to print').choices(shells))
      .addHelpText('after', usage)
      .action(async (shell: Shell) => {
        process.stdout.write(completionOf(shell, await wholeProgram()))
      })
  }

const usage = `
To load the completion:
  bash  nixery completion bash >~/.local/share/bash-completion/completions/nixery
  zsh   nixery completion zsh >"\${fpath[1]}/_nixery"
  fish  nixery completion fish >~/.config/fish/completions/nixery.fish
`

/** The script for a shell. */
export const completionOf = (shell: Shell, program: Command): string => scripts[shell](rowsOf(program))

/** The program and all of its commands. */
function rowsOf(command: Command, path: readonly string[] = []): Row[] {
  const options = command.options.flatMap(({ long, description }) =>
    long ? [[long, description] as const] : [],
  )
  const subcommands = command.commands.map((each) => [each.name(), each.description()] as const)
  const choices = command.registeredArguments.flatMap(({ argChoices = [] }) =>
    argChoices.map((word) => [word, ''] as const),
  )
  const hints = [...subcommands, ...choices, ...options, ['--help', 'show help'] as const]
  const row = { path, description: command.description(), words: hints.map(([word]) => word), hints }
  return [row, ...command.commands.flatMap((each) => rowsOf(each, [...path, each.name()]))]
}

/** Options whose value is a file or a folder. */
const files = '--env-file|--output|-o|--from-file|--import|--export|--store-paths|--cache-directory'

/** Patterns of a command, followed by the word of a subcommand. */
const steps = (rows: readonly Row[]): string =>
  rows
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => `"${path.slice(0, -1).join(' ')} ${path.at(-1) ?? ''}"`)
    .join('|')

const bash = (
  rows: readonly Row[],
): string => `# bash completion for nixery, printed by: nixery completion bash
_nixery() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} found= word
  case $previous in
  ${files}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$found $word" in
    ${steps(rows)}) found="\${found:+$found }$word" ;;
    esac
  done
  case $found in
${rows.map(({ path, words }) => `  "${path.join(' ')}") COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$current")) ;;`).join('\n')}
  esac
}
complete -F _nixery nixery
`

const zsh = (rows: readonly Row[]): string => `#compdef nixery
# zsh completion for nixery, printed by: nixery completion zsh
_nixery() {
  local found= word
  case $words[CURRENT-1] in
  ${files}) _files; return ;;
  esac
  for word in $words[2,CURRENT-1]; do
    case "$found $word" in
    ${steps(rows)}) found="\${found:+$found }$word" ;;
    esac
  done
  local -a hints
  case $found in
${rows.map(({ path, hints }) => `  "${path.join(' ')}") hints=(${hints.map(([word, description]) => quoted(`${word}:${description}`)).join(' ')}) ;;`).join('\n')}
  esac
  _describe 'nixery' hints
}
_nixery "$@"
`

const fish = (rows: readonly Row[]): string => {
  const lines = rows.flatMap(({ path, hints }) => {
    const [command, subcommand] = path
    const condition =
      command === undefined
        ? '__fish_use_subcommand'
        : `__fish_seen_subcommand_from ${command}${subcommand === undefined ? '' : `; and __fish_seen_subcommand_from ${subcommand}`}`
    return hints.map(([word, description]) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`
      const file = files.split('|').includes(word) ? ' -r -F' : ''
      return `complete -c nixery -n ${quoted(condition)} ${what}${file} -d ${quoted(description)}`
    })
  })
  return `# fish completion for nixery, printed by: nixery completion fish\ncomplete -c nixery -f\n${lines.join('\n')}\n`
}

const scripts: Readonly<Record<Shell, (rows: readonly Row[]) => string>> = { bash, zsh, fish }

/** A word for any of these shells. */
const quoted = (text: string): string => {
  if (/[\0\n]/.test(text)) throw new NixeryError('CONFIG_INVALID', 'a description has more than one line')
  return `'${text.replaceAll("'", '’')}'`
}
