import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { variables } from '../src/config.ts'

/** `docs/configuration.md`, made from the schema; a test keeps the two equal. */
export const configurationFile = join(import.meta.dirname, '..', 'docs', 'configuration.md')

export function configurationPage(): string {
  const rows = variables().map(
    ({ name, default: value, meaning }) => `| \`${name}\` | ${value && `\`${value}\``} | ${meaning} |`,
  )
  return `# Configuration

Everything is an environment variable; an empty one counts as not set. The program refuses to start on a bad value,
and names every problem at once. Nix's own variables and files (\`NIX_CONFIG\`, \`nix.conf\`) work as usual: what you
set there wins over what this program sets.

| variable | default | meaning |
| --- | --- | --- |
${rows.join('\n')}

This page is made by \`./scripts/node scripts/configuration.ts --write\`.
`
}

if (process.argv.includes('--write')) {
  const page = configurationPage()
  if ((await readFile(configurationFile, 'utf8')) !== page) await writeFile(configurationFile, page)
}
