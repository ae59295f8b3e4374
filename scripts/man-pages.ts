import type { Command } from 'commander'
import { wholeProgram } from '../src/cli/commands.ts'
import { exitCodesHelp } from '../src/cli/exit.ts'
import { variables } from '../src/config.ts'

/** The manual pages by file name, with man(7) macros: one for the program, and one for each command. */
export async function manPages(version: string): Promise<ReadonlyMap<string, string>> {
  const program = await wholeProgram()
  const pages = program.commands.flatMap((command) => pagesOf(command, ['nixery'], version))
  return new Map([['nixery.1', programPage(program, version)], ...pages])
}

function programPage(program: Command, version: string): string {
  const commands = program.commands.flatMap((command) => [
    '.TP',
    `.BR nixery\\-${escaped(command.name())} (1)`,
    line(command.description()),
  ])
  const settings = variables().flatMap(({ name, meaning, form, default: value }) => [
    '.TP',
    `.B ${escaped(name)}`,
    line(`${meaning}: ${form}${value === '' ? '' : ` (default: ${value})`}`),
  ])
  return page('nixery', version, [
    ['NAME', ['nixery \\- container registry that builds images from Nix packages while they are pulled']],
    ['SYNOPSIS', ['.B nixery', '[\\-\\-env\\-file FILE] COMMAND [ARGUMENT ...]']],
    ['COMMANDS', commands],
    ['OPTIONS', optionsOf(program)],
    ['ENVIRONMENT', settings],
    ['EXIT STATUS', exitStatus()],
  ])
}

function pagesOf(command: Command, path: readonly string[], version: string): (readonly [string, string])[] {
  const names = [...path, command.name()]
  const args = command.registeredArguments.map((argument) => {
    const text = `${argument.name().toUpperCase()}${argument.variadic ? ' ...' : ''}`
    return argument.required ? text : `[${text}]`
  })
  const described = command.registeredArguments.filter(({ description }) => description !== '')
  const rows = [
    ...described.flatMap((argument) => [
      '.TP',
      `.I ${escaped(argument.name().toUpperCase())}`,
      line(argument.description),
    ]),
    ...optionsOf(command),
  ]
  const text = page(names.join('-'), version, [
    ['NAME', [`${escaped(names.join('-'))} \\- ${escaped(command.description())}`]],
    ['SYNOPSIS', [`.B ${escaped(names.join(' '))}`, escaped(`[OPTION ...] ${args.join(' ')}`)]],
    ['OPTIONS', rows],
    ['EXIT STATUS', exitStatus()],
    ['SEE ALSO', ['.BR nixery (1)']],
  ])
  return [
    [`${names.join('-')}.1`, text],
    ...command.commands.flatMap((each) => pagesOf(each, names, version)),
  ]
}

const optionsOf = (command: Command): string[] =>
  command.options.flatMap(({ flags, description, defaultValue }) => {
    const value: unknown = defaultValue
    const isShown = typeof value === 'string' || typeof value === 'number'
    return ['.TP', `.B ${escaped(flags)}`, line(`${description}${isShown ? ` (default: ${value})` : ''}`)]
  })

const exitStatus = (): string[] =>
  [...exitCodesHelp.matchAll(/^ +(\d+) {2}(.*)$/gm)].flatMap(([, code = '', meaning = '']) => [
    '.TP',
    `.B ${code}`,
    line(meaning),
  ])

function page(
  name: string,
  version: string,
  sections: readonly (readonly [heading: string, lines: readonly string[]])[],
): string {
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .flatMap(([heading, lines]) => [`.SH "${heading}"`, ...lines])
  return `.TH "${escaped(name).toUpperCase()}" 1 "" "nixery ${version}" "User Commands"\n${body.join('\n')}\n`
}

/** Escapes text for roff: a backslash begins an escape, and a plain - would be a hyphen that cannot be copied. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('`', '')
    .replaceAll('"', '\\(dq')
    .replaceAll(
      /[^\x20-\x7e]/gu,
      (char) => `\\[u${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )

/** A line of text, escaped so that it does not begin like a roff request. */
const line = (text: string): string => escaped(text.replaceAll('\n', ' ')).replace(/^(?=[.'])/, '\\&')
