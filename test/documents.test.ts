import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { execa } from 'execa'
import { generatedPages } from '../scripts/configuration.ts'
import { launcher } from './support/command.ts'

const root = join(import.meta.dirname, '..')

/** The project's files, by extension, and folders in backticks that a text mentions. */
function pathsIn(markdown: string): string[] {
  const files = markdown.matchAll(/(?<![\w./*-])\w[\w./-]*\.(?:ts|nix|md|json)\b/g)
  const folders = markdown.matchAll(/(?<=`)\w[\w./-]*\/(?=`)/g)
  return [...files, ...folders].map(([path]) => path)
}

describe('the documents', () => {
  it('are up to date if they are generated from the settings and commands', async () => {
    for (const [file, page] of await generatedPages()) {
      assert.ok(
        (await readFile(file, 'utf8')) === page,
        'run: ./scripts/node scripts/configuration.ts --write',
      )
    }
  })

  it('name existing commands and files', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    for (const words of ['npm run demo', 'npm test', './bin/nixery serve', 'NIXERY_PKGS_PATH']) {
      assert.ok(readme.includes(words), words)
    }
    for (const [, target = ''] of readme.matchAll(/\]\(([^)#:]+)\)/g)) await access(join(root, target))
  })

  it('name existing tests', async () => {
    for (const page of ['migrating.md', 'clients.md']) {
      const text = await readFile(join(root, 'docs', page), 'utf8')
      for (const [, file = ''] of text.matchAll(/`((?:src|test)\/[^`]+\.ts)`/g))
        await access(join(root, file))
    }
  })

  it('name existing files and folders', async () => {
    for (const page of ['ARCHITECTURE.md', 'CONTRIBUTING.md']) {
      const named = pathsIn(await readFile(join(root, page), 'utf8'))
      assert.ok(named.length > 10, page)
      const missing = named.filter(
        (path) => !existsSync(join(root, path)) && !existsSync(join(root, 'src', path)),
      )
      assert.deepEqual(missing, [], page)
    }
  })

  it('begin recipes with one that is valid', async () => {
    const page = await readFile(join(root, 'docs', 'recipes.md'), 'utf8')
    const [, recipe = ''] = /## A first recipe\n[^]*?```toml\n([^]*?)```/.exec(page) ?? []
    const folder = await mkdtemp(join(tmpdir(), 'nixery-recipes-'))
    try {
      await writeFile(join(folder, 'hello.toml'), recipe)
      const { stdout } = await execa(launcher, ['recipe', 'check', folder, '--json'])
      assert.match(stdout, /"hello"/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('explain only messages that the program prints', async () => {
    const page = await readFile(join(root, 'docs', 'troubleshooting.md'), 'utf8')
    const sources = await readdir(join(root, 'src'), { recursive: true })
    const texts = await Promise.all(
      sources
        .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
        .map((name) => readFile(join(root, 'src', name), 'utf8')),
    )
    const messages = [...page.matchAll(/^\| `([^`]+)`(?! \(Docker\))/gm)].map(([, message = '']) => message)
    assert.ok(messages.length > 20)
    // The program inserts names before a message.
    const fixedParts = messages.map((message) => message.replace(/^[A-Z_, ]+: /, ''))
    assert.deepEqual(
      fixedParts.filter((message) => !texts.some((text) => text.includes(message))),
      [],
    )
  })

  it('describe every room', async () => {
    const architecture = await readFile(join(root, 'ARCHITECTURE.md'), 'utf8')
    const entries = await readdir(join(root, 'src'), { withFileTypes: true })
    for (const entry of entries.filter((each) => each.isDirectory())) {
      assert.ok(architecture.includes(`\`${entry.name}/\``), `${entry.name} is not in ARCHITECTURE.md`)
    }
  })
})

describe('the lock files', () => {
  it('contain no registry, so that npm uses the configured one', async () => {
    for (const file of ['package-lock.json', 'test/support/helm-tools/package-lock.json']) {
      assert.doesNotMatch(await readFile(join(root, file), 'utf8'), /"resolved": "http/, file)
    }
  })
})
