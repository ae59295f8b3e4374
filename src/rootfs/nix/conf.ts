/** The first line of a nix.conf that is part of the image. `packaging/entrypoint` replaces a file with this line. */
export const nixConfMark =
  '# Written with the image. Remove this line to keep what you write here when nixery-entrypoint starts.'

/**
 * `/etc/nix/nix.conf` of an image with Nix.
 * @param shell the store path of `/bin/sh`, and its closure
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
  // Nix reads the text after an `=` as another path.
  if (shell && ![shell.program, ...shell.needs].some((path) => path.includes('='))) {
    lines.push(
      '# A store elsewhere (--store DIR) is always built for in a sandbox: the shell that builders expect there.',
      `extra-sandbox-paths = ${[`/bin/sh=${shell.program}`, ...shell.needs].join(' ')}`,
    )
  }
  return `${lines.join('\n')}\n`
}
