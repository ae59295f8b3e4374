import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { shareProcesses } from './shared-processes.ts'

it('test files share processes, except those with hooks or changes to the process', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nixery-shared-'))
  try {
    const write = async (name: string, text: string) => {
      const file = join(folder, name)
      await writeFile(file, text)
      return file
    }
    const plain = await Promise.all(
      Array.from({ length: 20 }, (_, index) => write(`${index}.test.ts`, "it('works', () => {})")),
    )
    const alone = await Promise.all([
      write('hook.test.ts', 'before(() => {})\n'),
      write('environment.test.ts', "  process.env['A'] = 'b'\n"),
    ])
    const files = shareProcesses([...alone, ...plain], join(folder, 'modules'))
    assert.deepEqual(files.slice(2), alone)
    const modules = await Promise.all(files.slice(0, 2).map((file) => readFile(file, 'utf8')))
    assert.deepEqual(
      modules.flatMap((text) => text.trim().split('\n')),
      plain.map((file) => `import "${pathToFileURL(file).href}"`),
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})
