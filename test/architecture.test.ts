import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { cyclesIn, importsOf, type Modules, packageOf, reachedFrom } from './support/imports.ts'

/**
 * What each room may import besides itself; `x:types` is for types alone. A top-level file of src is a room.
 * Where the words of `image` are parsed they are refused too, with an error of the project's.
 */
const rooms: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    errors: '',
    fs: 'errors',
    text: 'errors',
    image: 'errors',
    catalog: 'image errors',
    closure: 'image errors',
    export: 'fs image errors',
    queue: 'errors',
    nix: 'fs queue text image errors',
    packages: 'image errors',
    push: 'fs text image errors',
    contents: 'queue image errors',
    rootfs: 'contents image errors',
    store: 'fs image errors',
    popcount: 'closure fs image errors',
    layers: 'contents queue closure store image errors',
    builds: 'catalog closure contents layers nix packages queue rootfs store image errors',
    http: 'builds store text image errors',
    web: 'builds text image errors',
    upkeep: 'builds catalog store image errors',
    telemetry: 'builds text http:types errors',
    config: 'image layers store errors',
    // The composition root, in four files: with the commands, the only ones that see everything.
    stores: 'config store errors',
    evaluation: 'config nix:types',
    sources: 'evaluation config demo nix packages image errors',
    workshop:
      'builds catalog closure config contents evaluation layers nix packages popcount sources store stores upkeep image errors',
    main: 'builds catalog closure config http layers nix packages store telemetry text upkeep web workshop package.json image errors',
    cli:
      'builds catalog closure config export fs layers main nix packages popcount push sources store stores upkeep ' +
      'telemetry text workshop demo image errors',
  }).map(([room, others]) => [room, others.split(' ')]),
)

/** Who may import what is not the project's. Rooms and files; all that is not here is for anyone. */
const reserved: readonly (readonly [what: RegExp, who: readonly string[]])[] = [
  // Nix itself; besides it git for what a checkout is at, `xz`, and the helpers that keep a user's credentials.
  [
    /^(node:child_process|execa)$/,
    ['nix', 'src/packages/checkout.ts', 'src/popcount/xz.ts', 'src/push/credential-helper.ts'],
  ],
  [/^(hono|@hono\/.*)$/, ['http', 'web']],
  [/^(better-sqlite3|kysely)$/, ['catalog']],
  [/^(pino|pino-pretty)$/, ['telemetry']],
  [/^prom-client$/, ['telemetry']],
  [/^commander$/, ['cli']],
  [/^koffi$/, ['src/layers/native.ts']],
  [/^\?$/, []], // an import whose target is not in the text
]

/** Rooms and modules that compute and do nothing else, with all they import: these modules of Node alone. */
const pure = [
  'image',
  'closure',
  'text',
  'rootfs',
  'src/contents/follow.ts',
  'src/layers/plan.ts',
  'src/layers/archive.ts',
]
const allowedInPure = new Set(['node:crypto', 'node:path', 'node:util', 'tar/header'])

const isTest = (path: string): boolean => path.endsWith('.test.ts')
/** Suites and helpers that tests share; they lie beside the sources, and may use what tests use. */
const isHelper = (path: string): boolean => /[/-](conformance|testing)\.ts$/.test(path)
const roomOf = (path: string): string => {
  const [top = '', room = ''] = path.split('/')
  return top === 'src' ? room.replace(/\.ts$/, '') : top
}
const isOneOf = (who: readonly string[], path: string): boolean =>
  who.includes(path) || who.includes(roomOf(path))

/** Everything in these modules that the tables do not allow, in sentences. */
function violations(modules: Modules, dependencies: readonly string[]): string[] {
  const program = [...modules].filter(([path]) => !isTest(path) && !isHelper(path))
  const imports = program.flatMap(([path, text]) => importsOf(path, text))
  const told: string[] = []

  for (const { from, to, inside, typeOnly } of imports) {
    const [room, other] = [roomOf(from), roomOf(to)]
    const allowed = rooms.get(room)
    if (!allowed) told.push(`${from}: the room ${room} is not in the table`)
    else if (inside) {
      const may =
        room === other || allowed.includes(other) || (typeOnly && allowed.includes(`${other}:types`))
      if (!may) told.push(`${from} must not import ${to}`)
      if (isTest(to) || isHelper(to)) told.push(`${from} must not import ${to}, which is for tests`)
    } else {
      const rule = reserved.find(([what]) => what.test(packageOf(to)))
      if (rule && !isOneOf(rule[1], from)) told.push(`${from} must not import ${to}`)
      else if (!to.startsWith('node:') && !dependencies.includes(packageOf(to))) {
        told.push(`${from} imports ${to}, which is not in the dependencies`)
      }
    }
  }

  const reached = reachedFrom(
    program.map(([path]) => path).filter((path) => isOneOf(pure, path)),
    imports,
  )
  for (const { from, to, inside } of imports) {
    if (reached.has(from) && !inside && !allowedInPure.has(to)) told.push(`${from} is pure: not with ${to}`)
  }
  for (const cycle of cyclesIn(imports)) told.push(`in a circle: ${cycle.join(', ')}`)
  for (const [path, text] of program) {
    const hasDefault = /^export\s+default\b|^export\s*\{[^}]*\bas\s+default\b/m.test(text)
    if (hasDefault) told.push(`${path} has a default export`)
  }
  return [...new Set(told)]
}

const root = join(import.meta.dirname, '..')
const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')

describe('the architecture', () => {
  const modules = new Map(
    filesIn('src')
      .filter((path) => path.endsWith('.ts'))
      .map((path) => [path, textOf(path)]),
  )
  const { dependencies, optionalDependencies } = JSON.parse(textOf('package.json')) as Record<string, object>

  it('is as the tables have it', () => {
    assert.deepEqual(violations(modules, Object.keys({ ...dependencies, ...optionalDependencies })), [])
  })

  it('has every room of the table', () => {
    assert.deepEqual(
      new Set([...modules.keys()].filter((path) => !isTest(path)).map(roomOf)),
      new Set(rooms.keys()),
    )
  })

  it('has no file above 300 lines', () => {
    const lengths = ['src', 'demo', 'test', 'scripts', 'bench']
      .flatMap(filesIn)
      .filter((path) => path.endsWith('.ts'))
      .map((path) => ({
        path,
        lines: textOf(path).trimEnd().split('\n').length,
      }))
    assert.deepEqual(
      lengths.filter(({ lines, path }) => lines > 300 && !path.endsWith('.css')),
      [],
    )
  })
})

describe('the check of the architecture', () => {
  // Modules that are as they should be, but for one; what is to be told of it.
  const rows: [told: string | undefined, path: string, text: string][] = [
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
    [
      'src/push/x.ts must not import node:child_process',
      'src/push/x.ts',
      "import x from 'node:child_process'",
    ],
    [
      'src/builds/x.ts must not import hono/cookie',
      'src/builds/x.ts',
      "import type { A } from 'hono/cookie'",
    ],
    [
      'src/cli/x.ts must not import @hono/node-server',
      'src/cli/x.ts',
      "import { a } from '@hono/node-server'",
    ],
    ['src/store/x.ts must not import ?', 'src/store/x.ts', 'const a = await import(name)'],
    ['src/store/x.ts must not import ?', 'src/store/x.ts', "const a = createRequire(import.meta.url)('a')"],
    [
      'src/store/x.ts imports left-pad, which is not in the dependencies',
      'src/store/x.ts',
      "import a from 'left-pad'",
    ],
    ['src/closure/x.ts is pure: not with node:fs', 'src/closure/x.ts', "import { a } from 'node:fs'"],
    ['src/image/x.ts is pure: not with zod', 'src/image/x.ts', "import { z } from 'zod'"],
    ['src/errors.ts is pure: not with node:os', 'src/errors.ts', "import { a } from 'node:os'"],
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
    ['in a circle: src/store/a.ts, src/store/b.ts', 'src/store/b.ts', "import type { A } from './a.ts'"],
    ['in a circle: src/store/x.ts', 'src/store/x.ts', "new Worker(new URL('x.ts', import.meta.url))"],
  ]
  const others: Modules = new Map([
    ['src/store/a.ts', "import { b } from './b.ts'"],
    ['src/image/a.ts', "import { NixeryError } from '../errors.ts'"],
  ])
  for (const [told, path, text] of rows) {
    it(`${told === undefined ? 'lets pass' : 'tells of'} ${path}: ${text.replaceAll('\n', ' ')}`, () => {
      const found = violations(new Map([...others, [path, text]]), ['execa', 'zod', 'hono'])
      assert.deepEqual(found, told === undefined ? [] : [told])
    })
  }
})
