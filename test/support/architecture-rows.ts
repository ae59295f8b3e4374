import type { Modules } from './imports.ts'

/** Modules, each with the error that the architecture check reports for it beside `sound`, if any. */
export const rows: [error: string | undefined, path: string, text: string][] = [
  [undefined, 'src/builds/x.ts', "import { a } from '../store/a.ts'\nimport type { B } from './b.ts'"],
  [undefined, 'src/telemetry/x.ts', "import type { A } from '../http/a.ts'"],
  [undefined, 'src/nix/x.ts', "import { execa } from 'execa'\nimport fs from 'node:fs'"],
  [undefined, 'src/store/x.test.ts', "import { a } from '../cli/a.ts'"],
  [undefined, 'src/image/x.ts', "// import { a } from '../cli/a.ts'\nexport const text = 'from'"],
  ['src/image/x.ts must not import src/store/a.ts', 'src/image/x.ts', "export * from '../store/a.ts'"],
  ['src/store/x.ts must not import src/cli/a.ts', 'src/store/x.ts', "import {\n  a,\n} from '../cli/a.ts'"],
  ['src/store/x.ts must not import src/builds/a.ts', 'src/store/x.ts', "import '../builds/a.ts'"],
  ['src/http/x.ts must not import src/nix/a.ts', 'src/http/x.ts', "const a = await import('../nix/a.ts')"],
  ['src/http/x.ts must not import src/main.ts', 'src/http/x.ts', "import { a, type B } from '../main.ts'"],
  ['src/main.ts must not import src/cli/a.ts', 'src/main.ts', "export type { A } from './cli/a.ts'"],
  ['src/builds/x.ts must not import demo/a.ts', 'src/builds/x.ts', "import { a } from '../../demo/a.ts'"],
  [
    'src/telemetry/x.ts must not import src/http/a.ts',
    'src/telemetry/x.ts',
    "import { a } from '../http/a.ts'",
  ],
  [
    'src/builds/x.ts must not import src/telemetry/a.ts',
    'src/builds/x.ts',
    "import { a } from '../telemetry/a.ts'",
  ],
  ['src/store/x.ts must not import execa', 'src/store/x.ts', "import { execa } from 'execa'"],
  ['src/push/x.ts must not import node:child_process', 'src/push/x.ts', "import x from 'node:child_process'"],
  ['src/builds/x.ts must not import hono/cookie', 'src/builds/x.ts', "import type { A } from 'hono/cookie'"],
  ['src/cli/x.ts must not import @hono/node-server', 'src/cli/x.ts', "import { a } from '@hono/node-server'"],
  ['src/store/x.ts must not import ?', 'src/store/x.ts', 'const a = await import(name)'],
  ['src/store/x.ts must not import ?', 'src/store/x.ts', "const a = createRequire(import.meta.url)('a')"],
  [
    'src/store/x.ts imports left-pad, which is not in the dependencies',
    'src/store/x.ts',
    "import a from 'left-pad'",
  ],
  ['src/closure/x.ts is pure and must not import node:fs', 'src/closure/x.ts', "import { a } from 'node:fs'"],
  ['src/image/x.ts is pure and must not import zod', 'src/image/x.ts', "import { z } from 'zod'"],
  ['src/errors.ts is pure and must not import node:os', 'src/errors.ts', "import { a } from 'node:os'"],
  ['src/store/x.ts has a default export', 'src/store/x.ts', 'export default 1'],
  ['src/store/x.ts has a default export', 'src/store/x.ts', 'const a = 1\nexport { a as default }'],
  [
    'src/attic/x.ts: the room attic is not in the table',
    'src/attic/x.ts',
    "import { a } from '../errors.ts'",
  ],
  [
    'src/store/x.ts must not import src/store/conformance.ts, which is for tests',
    'src/store/x.ts',
    "import { a } from './conformance.ts'",
  ],
  ['import cycle: src/store/a.ts, src/store/b.ts', 'src/store/b.ts', "import type { A } from './a.ts'"],
  ['import cycle: src/store/x.ts', 'src/store/x.ts', "new Worker(new URL('x.ts', import.meta.url))"],
]
/** Modules without errors. */
export const sound: Modules = new Map([
  ['src/store/a.ts', "import { b } from './b.ts'"],
  ['src/image/a.ts', "import { NixeryError } from '../errors.ts'"],
])
