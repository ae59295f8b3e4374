import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

/** The documents, by path from the root of the checkout. */
export function documents(): ReadonlyMap<string, string> {
  const top = readdirSync(root).filter((name) => name.endsWith('.md') && name !== 'CHANGELOG.md')
  const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
  const paths = [...top, ...pages.map((name) => join('docs', name))]
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
}

// A code span is a command if it begins with one of these programs and has an argument.
const commandSpan =
  /`((?:\.\/(?:bin|scripts)\/\S+|npm|npx|nixery|podman|docker|skopeo|nix|nix-[a-z-]+|systemctl|usermod|sudo|git|curl|kubectl) [^`]+)`/g

/** The commands of a document: each line of a block marked `sh`, and code spans that are commands. */
export function commandsIn(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = '']) =>
    block.replaceAll(/ *\\\n\s*/g, ' ').split('\n'),
  )
  const prose = markdown.replaceAll(/```.*?```/gs, '')
  const spans = [...prose.matchAll(commandSpan)].map(([, command = '']) =>
    command.replaceAll(/\s*\n\s*/g, ' '),
  )
  return [...blocks, ...spans].map((line) => line.replace(/\s+#.*$/, '').trim()).filter((line) => line !== '')
}
