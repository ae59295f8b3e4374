import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { rows, sound } from './support/architecture-rows.ts'
import { deadExports } from './support/exports.ts'
import { cyclesIn, importsOf, type Modules, packageOf, reachedFrom } from './support/imports.ts'

/**
 * The rooms that each room may import besides itself; `x:types` allows type imports only. A top-level file of src is a
 * room.
 */
const rooms: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    errors: '',
    access: 'image errors',
    fs: 'errors',
    text: 'errors',
    image: 'errors',
    postgres: 'errors',
    catalog: 'postgres image errors',
    closure: 'image errors',
    export: 'fs image errors',
    queue: 'errors',
    credentials: 'access catalog:types fs net queue errors',
    policy: 'access config credentials quotas:types errors',
    nix: 'fs queue text image errors',
    packages: 'text image errors',
    net: '',
    recipes: 'catalog:types fs nix:types packages queue:types rootfs text image errors',
    push: 'fs net text image errors',
    contents: 'net queue image errors',
    bases: 'contents push rootfs text image errors',
    rootfs: 'contents text image errors',
    store: 'fs image errors',
    popcount: 'closure fs net image errors',
    sharing: 'contents fs queue store image errors',
    layers: 'contents queue closure store image errors',
    search: 'nix:types packages queue image text errors',
    builds:
      'bases catalog closure contents layers nix packages queue recipes rootfs sharing store text image errors',
    quotas: 'access catalog:types errors',
    http: 'access builds quotas store text image errors',
    web: 'access builds catalog:types credentials:types fleet:types http quotas:types search telemetry:types text upkeep:types image errors',
    upkeep: 'builds catalog store image errors',
    telemetry: 'access:types builds text http:types errors',
    config: 'image layers sharing store errors',
    // The composition root: `frontend` and `worker` over one `state`, which `main` puts into one process.
    stores: 'config store errors',
    evaluation: 'config nix:types',
    origin: 'builds config contents nix:types sharing:types',
    'shared-cache': 'config contents fleet postgres:types sharing store errors',
    sources: 'evaluation config demo nix packages image errors',
    'package-search': 'catalog:types config image packages:types search sets:types shared-search state:types',
    'shared-search': 'config search state:types upkeep errors',
    sets: 'builds catalog:types config evaluation image nix packages recipes sources',
    catalogs: 'catalog config postgres',
    state: 'builds catalog catalogs config postgres:types store stores upkeep',
    fleet: 'builds catalog:types config image postgres queue sharing:types text errors',
    worker:
      'bases builds config contents evaluation image layers nix packages origin popcount package-search sets shared-cache sharing:types state worker-status',
    'worker-status': 'builds nix:types packages:types sets:types',
    'leader-tasks': 'catalog:types state:types',
    monitor: 'builds catalogs config telemetry text web',
    gate: 'access catalog:types config credentials fs http net policy quotas telemetry errors',
    admin:
      'access accounting config credentials fleet:types gc-preview http:types monitor quotas:types state:types telemetry upkeep web:types',
    'gc-preview': 'upkeep:types errors',
    accounting: 'access catalog:types config http quotas telemetry text',
    pages: 'builds config gate:types http image monitor:types state:types web errors',
    'server-tls': 'config http telemetry:types',
    frontend:
      'accounting admin builds config gate http image monitor pages server-tls state store telemetry upkeep web',
    cleanup: 'catalogs config image state store:types telemetry upkeep',
    'shared-settings': 'builds config fleet:types layers rootfs worker:types',
    'start-info': 'config stores',
    duties: 'builds cleanup config image leader-tasks state:types telemetry:types upkeep worker:types',
    main: 'shared-settings builds config duties fleet frontend gate image monitor package.json server-tls shared-search state telemetry text worker start-info',
    cli:
      'access bases builds catalog catalogs closure config credentials evaluation export fleet fs layers main nix origin package.json packages policy popcount postgres push recipes ' +
      'search shared-search sources store stores upkeep ' +
      'telemetry text state worker demo image errors',
  }).map(([room, others]) => [room, others.split(' ')]),
)

/** External modules that only some rooms or files may import. All others may be imported anywhere. */
const reserved: readonly (readonly [what: RegExp, importers: readonly string[]])[] = [
  // Only to run Nix, git for the state of a checkout, `xz`, and credential helpers.
  [
    /^(node:child_process|execa)$/,
    [
      'nix',
      'src/packages/checkout.ts',
      'src/popcount/xz.ts',
      'src/contents/cache/xz-program.ts',
      'src/push/credential-helper.ts',
      'src/gc-preview.ts',
    ],
  ],
  [/^(hono|@hono\/.*)$/, ['web']],
  [/^better-sqlite3$/, ['catalog', 'search']],
  [/^kysely$/, ['catalog', 'fleet', 'postgres']],
  [/^marked$/, ['src/web/markdown.ts']],
  [/^pg$/, ['postgres']],
  [/^(pino|pino-pretty)$/, ['telemetry']],
  [/^prom-client$/, ['telemetry']],
  [/^@opentelemetry\//, ['telemetry']],
  [/^commander$/, ['cli']],
  [/^koffi$/, ['src/layers/native.ts', 'src/contents/cache/liblzma.ts', 'src/contents/cache/libzstd.ts']],
  [/^@napi-rs\/lzma$/, ['src/contents/cache/xz-package.ts']],
  [/^\?$/, []], // an import whose target is not a literal
]

/** Rooms and modules without side effects. They and all their imports may use only `allowedInPure`. */
const pure = [
  'access',
  'image',
  'closure',
  'text',
  'rootfs',
  'src/contents/follow-links.ts',
  'src/layers/strategies.ts',
  'src/layers/archive.ts',
]
const allowedInPure = new Set(['node:crypto', 'node:path', 'node:util', 'tar/header'])

const isTest = (path: string): boolean => path.endsWith('.test.ts')
/** Suites and helpers of tests next to the sources, which may import what tests may import. */
const isHelper = (path: string): boolean => /[/-](conformance|testing)\.ts$/.test(path)
const roomOf = (path: string): string => {
  const [top = '', room = ''] = path.split('/')
  return top === 'src' ? room.replace(/\.ts$/, '') : top
}
const isOneOf = (names: readonly string[], path: string): boolean =>
  names.includes(path) || names.includes(roomOf(path))

/** Error messages for everything in the modules that the tables do not allow. */
function violations(modules: Modules, dependencies: readonly string[]): string[] {
  const program = [...modules].filter(([path]) => !isTest(path) && !isHelper(path))
  const imports = program.flatMap(([path, text]) => importsOf(path, text))
  const errors: string[] = []

  for (const { from, to, inside, typeOnly } of imports) {
    const [room, other] = [roomOf(from), roomOf(to)]
    const allowed = rooms.get(room)
    if (!allowed) errors.push(`${from}: the room ${room} is not in the table`)
    else if (inside) {
      const may =
        room === other || allowed.includes(other) || (typeOnly && allowed.includes(`${other}:types`))
      if (!may) errors.push(`${from} must not import ${to}`)
      if (isTest(to) || isHelper(to)) errors.push(`${from} must not import ${to}, which is for tests`)
    } else {
      const rule = reserved.find(([what]) => what.test(packageOf(to)))
      if (rule && !isOneOf(rule[1], from)) errors.push(`${from} must not import ${to}`)
      else if (!to.startsWith('node:') && !dependencies.includes(packageOf(to))) {
        errors.push(`${from} imports ${to}, which is not in the dependencies`)
      }
    }
  }

  const reached = reachedFrom(
    program.map(([path]) => path).filter((path) => isOneOf(pure, path)),
    imports,
  )
  for (const { from, to, inside } of imports) {
    if (reached.has(from) && !inside && !allowedInPure.has(to))
      errors.push(`${from} is pure and must not import ${to}`)
  }
  for (const cycle of cyclesIn(imports)) errors.push(`import cycle: ${cycle.join(', ')}`)
  for (const [path, text] of program) {
    const hasDefault = /^export\s+default\b|^export\s*\{[^}]*\bas\s+default\b/m.test(text)
    if (hasDefault) errors.push(`${path} has a default export`)
  }
  return [...new Set(errors)]
}

const root = join(import.meta.dirname, '..')
const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')

const maxLines = 250

describe('the architecture', () => {
  const all: Modules = new Map(
    ['src', 'demo', 'scripts', 'test', 'packaging', 'bench']
      .flatMap(filesIn)
      .filter((path) => path.endsWith('.ts'))
      .map((path) => [path, textOf(path)]),
  )
  const modules = new Map([...all].filter(([path]) => path.startsWith('src/')))
  const { dependencies, optionalDependencies } = JSON.parse(textOf('package.json')) as Record<string, object>

  it('is as documented in the tables', () => {
    assert.deepEqual(violations(modules, Object.keys({ ...dependencies, ...optionalDependencies })), [])
  })

  it('has every room of the table', () => {
    assert.deepEqual(
      new Set([...modules.keys()].filter((path) => !isTest(path)).map(roomOf)),
      new Set(rooms.keys()),
    )
  })

  it('keeps Nix and the threads that pack layers out of the front end', () => {
    const imports = [...modules].flatMap(([path, text]) => importsOf(path, text))
    const reached = reachedFrom(
      ['src/frontend.ts'],
      imports.filter(({ typeOnly }) => !typeOnly),
    )
    const isOfWorkers = (path: string) =>
      /^src\/(nix|packages|layers\/(threads|pack)|worker|demo)\b/.test(path)
    assert.deepEqual([...reached].filter(isOfWorkers), [])
  })

  it('has no file above 250 lines', () => {
    const isLong = (text: string) => text.trimEnd().split('\n').length > maxLines
    assert.deepEqual(
      [...all].filter(([, text]) => isLong(text)).map(([path]) => path),
      [],
    )
  })

  it('has no dead exports', () => {
    const isForTests = (path: string) => isTest(path) || isHelper(path) || path.startsWith('test/')
    // A one-step form of the decision for its tests; the program decides in steps.
    const forTests = ['src/upkeep/decide.ts: decide']
    assert.deepEqual(deadExports(all, isForTests), forTests)
  })
})

describe('the check of the architecture', () => {
  for (const [expected, path, text] of rows) {
    const title = expected === undefined ? 'accepts' : 'rejects'
    it(`${title} ${path}: ${text.replaceAll('\n', ' ')}`, () => {
      const errors = violations(new Map([...sound, [path, text]]), ['execa', 'zod', 'hono'])
      assert.deepEqual(errors, expected === undefined ? [] : [expected])
    })
  }
})
