import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { rows, sound } from './support/architecture-rows.ts'
import { deadExports } from './support/exports.ts'
import { cyclesIn, importsOf, type Modules, packageOf, reachedFrom } from './support/imports.ts'

/**
 * What each room may import besides itself; `x:types` is for types alone. A top-level file of src is a room.
 * Where the words of `image` are parsed they are refused too, with an error of the project's.
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
    search: 'nix:types packages image errors',
    builds:
      'bases catalog closure contents layers nix packages queue recipes rootfs sharing store text image errors',
    quotas: 'access errors',
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
    'package-search': 'catalog:types config image packages:types search sets:types',
    sets: 'builds catalog:types config evaluation image nix packages recipes sources',
    catalogs: 'catalog config postgres',
    state: 'builds catalog catalogs config postgres:types store stores upkeep',
    fleet: 'builds catalog:types config image postgres queue sharing:types text errors',
    worker:
      'bases builds config contents evaluation image layers nix packages origin popcount search:types package-search sets shared-cache sharing:types state worker-status',
    'worker-status': 'builds nix:types packages:types sets:types',
    'leader-tasks': 'catalog:types state:types',
    monitor: 'builds catalogs config telemetry text web',
    gate: 'access catalog:types config credentials fs http net policy quotas telemetry errors',
    admin:
      'access accounting config credentials fleet:types gc-preview http:types monitor quotas:types state:types telemetry upkeep web:types',
    'gc-preview': 'upkeep:types errors',
    accounting: 'access config http quotas telemetry text',
    pages: 'builds config gate:types http image monitor:types state:types web errors',
    frontend: 'accounting admin builds config gate http image monitor pages state store telemetry upkeep web',
    cleanup: 'catalogs config image state store:types telemetry upkeep',
    'shared-settings': 'builds config fleet:types layers rootfs worker:types',
    'start-info': 'config stores',
    main: 'shared-settings builds cleanup config leader-tasks fleet frontend image monitor package.json state telemetry text worker start-info',
    cli:
      'access bases builds catalog catalogs closure config credentials evaluation export fleet fs layers main nix origin package.json packages policy popcount postgres push recipes ' +
      'search sources store stores upkeep ' +
      'telemetry text state worker demo image errors',
  }).map(([room, others]) => [room, others.split(' ')]),
)

/** Who may import what is not the project's. Rooms and files; all that is not here is for anyone. */
const reserved: readonly (readonly [what: RegExp, who: readonly string[]])[] = [
  // Nix itself; besides it git for what a checkout is at, `xz`, and the helpers that keep a user's credentials.
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
  [/^\?$/, []], // an import whose target is not in the text
]

/** Rooms and modules that compute and do nothing else, with all they import: these modules of Node alone. */
const pure = [
  'access',
  'image',
  'closure',
  'text',
  'rootfs',
  'src/contents/follow.ts',
  'src/layers/strategies.ts',
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
    // For its tests; the program decides in steps.
    const forTests = ['src/upkeep/decide.ts: decide']
    assert.deepEqual(deadExports(all, isForTests), forTests)
  })
})

describe('the check of the architecture', () => {
  for (const [told, path, text] of rows) {
    it(`${told === undefined ? 'lets pass' : 'tells of'} ${path}: ${text.replaceAll('\n', ' ')}`, () => {
      const found = violations(new Map([...sound, [path, text]]), ['execa', 'zod', 'hono'])
      assert.deepEqual(found, told === undefined ? [] : [told])
    })
  }
})
