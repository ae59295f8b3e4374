import { Help, type Command } from 'commander'

/** The maximum width of the lines in the list of commands. */
const width = 80

/** The program's help: one line for each command, so that it fits on a screen. Commands have commander's own help. */
export function formatHelp(command: Command, helper: Help): string {
  if (command.parent) return new Help().formatHelp(command, helper)
  const named = command.commands.map((each) => [each.name(), each.summary() || each.description()] as const)
  const longest = Math.max(...named.map(([name]) => name.length))
  const rows = named.map(([name, summary]) => `  ${name.padEnd(longest)}  ${summary}`)
  return `${command.description()}

${rows.map((row) => (row.length > width ? `${row.slice(0, width - 1)}…` : row)).join('\n')}

${command.name()} [--env-file FILE] COMMAND [ARGUMENT …]
${command.name()} COMMAND --help describes a command, with its options and exit codes.
`
}
