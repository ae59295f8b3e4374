import type { Command } from 'commander'

type Entry = {
  readonly name: string
  readonly description: string
  /** For the help text of the whole program. */
  readonly args?: string
  /** What the command does: its modules are loaded only if it may be the one that was called. */
  readonly load: () => Promise<(command: Command) => void>
}

/** The commands, in the order of the help text. */
const commands: readonly Entry[] = [
  {
    name: 'serve',
    description: 'serve images over HTTP; configured by environment variables (docs/configuration.md)',
    load: async () => (await import('./serve.ts')).setUp,
  },
  {
    name: 'build',
    args: '<image>',
    description: 'build an image without a server, and write it to a file or folder',
    load: async () => (await import('./build.ts')).setUp,
  },
  {
    name: 'push',
    args: '<image> <to>',
    description: 'build an image without a server, and upload it to a registry',
    load: async () => (await import('./push.ts')).setUp,
  },
  {
    name: 'plan',
    args: '<image>',
    description: 'show the layers that an image has, without packing them',
    load: async () => (await import('./plan.ts')).setUp,
  },
  {
    name: 'gc',
    description: 'remove images that are not pulled any more, and what nothing refers to; a server may run',
    load: async () => (await import('./gc.ts')).setUp,
  },
  {
    name: 'scrub',
    description: 'hash everything that is stored, and remove what is damaged: the next pull makes it again',
    load: async () => (await import('./scrub.ts')).setUp,
  },
  {
    name: 'warm',
    args: '<images...>',
    description: 'make images ready ahead of demand, in the folders of the server',
    load: async () => (await import('./warm.ts')).setUp,
  },
  {
    name: 'config',
    description: 'print the settings in force, and where each comes from',
    load: async () => (await import('./config.ts')).setUp,
  },
  {
    name: 'popcount',
    args: '[channel]',
    description: 'count how often packages refer to each other, as popularity data for NIX_POPULARITY_URL',
    load: async () => (await import('./popcount.ts')).setUp,
  },
]

/** Adds the commands to a program; those that the arguments name are set up, of the others there is only the help. */
export async function addCommands(program: Command, args: readonly string[]): Promise<void> {
  for (const { name, description, args: shown, load } of commands) {
    const command = program.command(name).description(description)
    if (args.includes(name)) (await load())(command)
    else if (name !== 'serve') command.option('--json')
    if (shown !== undefined && !args.includes(name)) command.arguments(shown)
  }
}
