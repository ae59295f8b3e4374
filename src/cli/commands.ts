import { Command } from 'commander'

type Entry = {
  readonly name: string
  readonly description: string
  /** A shorter description for the program's help, if the other is too long for one line. */
  readonly summary?: string
  /** The arguments, for the help text of the program. */
  readonly args?: string
  /** Loads the command's modules; called only if it may be the command to run. */
  readonly load: () => Promise<(command: Command) => void>
}

/** The commands, in the order of the help text. */
const commands: readonly Entry[] = [
  {
    name: 'serve',
    description: 'serve images over HTTP; configured by environment variables (nixery config prints them)',
    summary: 'serve images over HTTP',
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
    name: 'search',
    args: '<words...>',
    description: 'find packages by name, program or description',
    load: async () => (await import('./search.ts')).setUp,
  },
  {
    name: 'plan',
    args: '<image>',
    description: 'show the layers of an image, without packing them',
    load: async () => (await import('./plan.ts')).setUp,
  },
  {
    name: 'gc',
    description:
      'remove images that are no longer pulled, and unreferenced blobs; safe while a server is running',
    summary: 'remove images that are no longer pulled, and unreferenced blobs',
    load: async () => (await import('./gc.ts')).setUp,
  },
  {
    name: 'scrub',
    description:
      'verify the digests of all stored blobs, and remove damaged ones, which the next pull rebuilds',
    summary: 'verify the digests of all stored blobs, and remove damaged ones',
    load: async () => (await import('./scrub.ts')).setUp,
  },
  {
    name: 'warm',
    args: '<images...>',
    description: 'build images ahead of time, in the folders of the server',
    load: async () => (await import('./warm.ts')).setUp,
  },
  {
    name: 'index',
    description: 'index the versions of packages in the commits of a package set',
    summary: 'index the package versions of a package set',
    load: async () => (await import('./index-versions.ts')).setUp,
  },
  {
    name: 'recipe',
    args: '<action> [folder]',
    description:
      'check: report problems in the recipes of a folder, with line and column; lock: pin their base images',
    summary: 'check recipes, and pin their base images',
    load: async () => (await import('./recipe.ts')).setUp,
  },
  {
    name: 'doctor',
    description:
      'check Nix, packages, storage, network, disk and clients, and print how to fix what is wrong',
    summary: 'find problems on this machine, and print how to fix them',
    load: async () => (await import('./doctor.ts')).setUp,
  },
  {
    name: 'config',
    description: 'print the effective settings, and where each comes from',
    load: async () => (await import('./config.ts')).setUp,
  },
  {
    name: 'status',
    description: 'show the servers that share a database and their builds',
    load: async () => (await import('./status.ts')).setUp,
  },
  {
    name: 'drain',
    args: '<processes...>',
    description: 'make servers that share a database stop taking work',
    load: async () => (await import('./drain.ts')).setUp,
  },
  {
    name: 'key',
    args: '<create|list|revoke>',
    description: 'create, list and revoke API keys of clients',
    load: async () => (await import('./key.ts')).setUp,
  },
  {
    name: 'access',
    description: 'explain what the rules of NIXERY_POLICY allow',
    load: async () => (await import('./access.ts')).setUp,
  },
  {
    name: 'completion',
    args: '<bash|zsh|fish>',
    description: 'print a script that completes commands and options in a shell',
    summary: 'print a completion script for bash, zsh or fish',
    load: async () => (await import('./completion.ts')).setUp(wholeProgram),
  },
  {
    name: 'popcount',
    args: '[channel]',
    description: 'count how often packages refer to each other, as popularity data for NIX_POPULARITY_URL',
    summary: 'count how often packages refer to each other',
    load: async () => (await import('./popcount.ts')).setUp,
  },
]

/** Adds the commands to a program. Only commands that the arguments name are loaded; others have just their help text. */
export async function addCommands(program: Command, args: readonly string[]): Promise<void> {
  for (const { name, description, summary = '', args: shown, load } of commands) {
    const command = program.command(name).description(description).summary(summary)
    if (args.includes(name)) (await load())(command)
    else if (name !== 'serve') command.option('--json')
    if (shown !== undefined && !args.includes(name)) command.arguments(shown)
  }
}

/** A program with all commands and their options, for generated files. */
export async function wholeProgram(): Promise<Command> {
  const listed = new Command('nixery')
  await addCommands(listed, [])
  const program = new Command('nixery')
    .option('--env-file <file>', 'read settings from a file of NAME=value lines')
    .option('--version', 'print the version')
  await addCommands(
    program,
    listed.commands.map((command) => command.name()),
  )
  return program
}
