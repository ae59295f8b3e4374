import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import packageFile from '../package.json' with { type: 'json' }
import { manPages } from './man-pages.ts'

// Writes the program as JavaScript to dist/, for the npm package: Node does not run TypeScript below node_modules. The
// types are not checked again here: `npm run check` and `npm test` check them.

const root = join(import.meta.dirname, '..')
const dist = join(root, 'dist')

rmSync(dist, { recursive: true, force: true })
await execa(
  process.execPath,
  [join(root, 'node_modules/.bin/tsc'), '--project', join(root, 'tsconfig.package.json')],
  { stdout: 'inherit', stderr: 'inherit' },
)
// Files that the program reads next to its modules. The lock file pins the Node of the demo packages.
const assets = globSync('{src,demo}/**/*', { cwd: root, withFileTypes: true })
  .filter((entry) => entry.isFile() && !entry.name.endsWith('.ts'))
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
for (const file of [...assets, 'package-lock.json']) cpSync(join(root, file), join(dist, file))
// `npm install --global` installs the pages that package.json lists.
mkdirSync(join(dist, 'man'))
for (const [name, page] of await manPages(packageFile.version)) writeFileSync(join(dist, 'man', name), page)
