/** The first line of a file that was written with the image. `packaging/entrypoint` replaces a file that has it. */
export const nixConfMark =
  '# Written with the image. Remove this line to keep what you write here when nixery-entrypoint starts.'

/**
 * `/etc/nix/nix.conf` of an image with Nix.
 * @param shell what `/bin/sh` is in the store, and all store paths that it needs
 */
export function nixConf(
  shell: { readonly program: string; readonly needs: readonly string[] } | undefined,
): string {
  const lines = [
    nixConfMark,
    '# There are no users to build as, and few containers may make a sandbox.',
    'build-users-group =',
    'sandbox = false',
    'experimental-features = nix-command flakes',
  ]
  // What comes after an `=` is read as another path.
  if (shell && ![shell.program, ...shell.needs].some((path) => path.includes('='))) {
    lines.push(
      '# A store elsewhere (--store DIR) is always built for in a sandbox: the shell that builders expect there.',
      `extra-sandbox-paths = ${[`/bin/sh=${shell.program}`, ...shell.needs].join(' ')}`,
    )
  }
  return `${lines.join('\n')}\n`
}
