/**
 * Measures a fleet's use of PostgreSQL: bytes per row of each table, with indexes, of rows that
 * the catalog itself has written; and the number of statements for each kind of pull, from pg_stat_statements.
 *
 * docs/scaling.md has the results. It needs PostgreSQL and Nix, and takes about two minutes.
 */
import { hash } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import type { Catalog, ImageKey } from '../src/catalog/catalog.ts'
import { openPostgresCatalog } from '../src/catalog/postgres.ts'
import { readConfig } from '../src/config.ts'
import { keyOf } from '../src/image/canonical.ts'
import { parseDigest, type Digest } from '../src/image/digest.ts'
import { parseStorePath } from '../src/image/store-path.ts'
import { openPool } from '../src/postgres/pool.ts'
import { startPostgres, type TestPostgres } from '../src/postgres/testing.ts'
import { startFleet } from '../test/support/fleet.ts'
import { openWorkspace } from '../test/support/workspace.ts'
import { seeded } from './seed.ts'

const [images, layersOfImage] = [5_000, 60]
const say = (line: string) => process.stdout.write(`${line}\n`)
const digestOf = (text: string) => parseDigest(`sha256:${hash('sha256', text)}`)

/** Fills a catalog with images of 60 layers out of twice as many layers as images, one store path each. */
async function fill(catalog: Catalog): Promise<void> {
  const below = seeded(3)
  const paths = Array.from({ length: 2 * images }, (_, index) => {
    const base = hash('sha256', `path ${index}`).replaceAll('e', '0').slice(0, 32)
    return parseStorePath(`/nix/store/${base}-package-with-a-name-1.2.${index % 100}`)
  })
  const layers: { digest: Digest; size: number }[] = []
  for (const [index, storePath] of paths.entries()) {
    const [digest, size] = [digestOf(`layer ${index}`), 1 + below(10_000_000)]
    const references = Array.from({ length: 6 }, () => paths[below(paths.length)] ?? storePath)
    const facts = {
      storePath,
      narHash: `sha256:${hash('sha256', `nar ${index}`)}`,
      narSize: size,
      references,
    }
    await catalog.rememberPathFacts([facts])
    const layer = { digest, diffId: digestOf(`diff ${index}`), size, compression: 'gzip' } as const
    const member = { key: keyOf('member', 0, index), digest, offset: 0, length: size }
    await catalog.rememberLayer(keyOf('layer', 0, index), layer, [member])
    await catalog.rememberBlob(digest, size)
    layers.push({ digest, size })
    const name = `package-${index}`
    const drvPath = `${storePath}.drv`
    const resolution = { status: 'package', attribute: name, package: name, drvPath, output: 'out', outputPath: storePath, pname: name, version: '1.2.3' } // prettier-ignore
    await catalog.rememberResolutions(new Map([[keyOf('resolution', 0, index), resolution]]), 'a'.repeat(40))
  }
  for (let index = 0; index < images; index++) {
    const part = (kind: string) => ({ digest: digestOf(`${kind} ${index}`), size: 4_000 })
    const record = {
      manifests: { docker: part('docker'), oci: part('oci') },
      config: part('config'),
      layers: Array.from({ length: layersOfImage }, () => layers[below(layers.length)]),
    }
    const image = keyOf('image', 0, index) as ImageKey
    await catalog.rememberImage(image, record)
    await catalog.rememberRoots(image, paths.slice(index, index + 3))
    const pull = { repository: `shell/package-${index}/package-${index + 1}`, tag: 'latest', architecture: 'amd64', image, at: 1_700_000_000, count: 1 } // prettier-ignore
    await catalog.rememberPulls([pull])
  }
}

async function measureRows(server: TestPostgres): Promise<void> {
  const url = await server.database()
  const postgres = await openPool({ url })
  const catalog = await openPostgresCatalog({ postgres, directUrl: url, warn: say })
  await fill(catalog)
  await catalog.close()
  await postgres.close()
  await sizes(server, url)
}

/** Bytes per row, of the table and of its indexes. */
async function sizes(server: TestPostgres, url: string): Promise<void> {
  const tables = await server
    .run(url, `vacuum analyze`)
    .then(() => server.run(url, `select relname as name from pg_stat_user_tables order by 1`))
  for (const { name } of tables) {
    const [row] = await server.run(
      url,
      `select count(*)::int as rows, pg_table_size('${String(name)}')::int as own, pg_indexes_size('${String(name)}')::int as indexes from ${String(name)}`,
    )
    const [rows, own, indexes] = [Number(row?.['rows']), Number(row?.['own']), Number(row?.['indexes'])]
    if (rows === 0) continue
    say(
      `${String(name).padEnd(14)} ${rows} rows, ${Math.round(own / rows)} + ${Math.round(indexes / rows)} bytes`,
    )
  }
}

async function measurePulls(): Promise<void> {
  const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
  const packages = await ensureDemoPackageSet({
    directory: join(NIXERY_DATA, 'demo'),
    cacheDirectory: NIXERY_CACHE,
    architectures: [process.arch === 'arm64' ? 'arm64' : 'amd64'],
    progress: say,
    signal: new AbortController().signal,
  })
  const workspace = await openWorkspace()
  const { postgres, url, ...fleet } = await startFleet(workspace, {
    NIXERY_PKGS_PATH: packages,
    NIXERY_LEASE: '3600',
  })
  try {
    await postgres.run(url, `alter system set shared_preload_libraries = 'pg_stat_statements'`)
    await postgres.stop()
    await postgres.start()
    await postgres.run(url, 'create extension pg_stat_statements')
    await fleet.worker()
    let front = await fleet.front()
    const pull = async (what: string, name: string) => {
      await postgres.run(url, 'select pg_stat_statements_reset()')
      const response = await fetch(`http://${front.address}/v2/${name}/manifests/latest`)
      const { layers } = (await response.json()) as { layers?: unknown[] }
      const rows = await postgres.run(
        url,
        `select calls::int, regexp_replace(query, '\\s+', ' ', 'g') as query from pg_stat_statements
          where query not like '%pg_stat%' order by calls desc`,
      )
      const sum = rows.reduce((all, { calls }) => all + Number(calls), 0)
      say(`${what}: ${name} has ${layers?.length} layers, HTTP ${response.status}; ${sum} statements`)
      for (const { calls, query } of rows) say(`  ${String(calls)} × ${String(query).slice(0, 150)}`)
    }
    await pull('new', 'shell/git')
    await sleep(1_000)
    await pull('in memory, the tag for less than 5 s', 'shell/git')
    await sleep(10_000)
    await pull('in memory, the tag for more than 5 s', 'shell/git')
    await postgres.run(url, 'truncate jobs')
    await front.stop()
    front = await fleet.front()
    await pull('after a start, built more than a day ago', 'shell/git')
    await front.stop()
    front = await fleet.front()
    await pull('after a start', 'shell/git')
    await sleep(20_000)
    await postgres.run(url, 'select pg_stat_statements_reset()')
    await sleep(20_000)
    say('a front end and a worker at rest, 20 s:')
    const rows = await postgres.run(
      url,
      `select calls::int, left(query, 100) as query from pg_stat_statements where query not like '%pg_stat%' order by 1 desc`,
    )
    for (const { calls, query } of rows) say(`  ${String(calls)} × ${String(query).replace(/\s+/g, ' ')}`)
    await sizes(postgres, url)
    say(
      JSON.stringify(
        await postgres.run(
          url,
          `select avg(pg_column_size(listing))::int as listing, avg(length(path_references))::int as refs, count(listing)::int as n from paths`,
        ),
      ),
    )
    say(
      JSON.stringify(
        await postgres.run(
          url,
          `select count(*)::int n, state from pg_stat_activity where datname = current_database() group by 2`,
        ),
      ),
    )
  } finally {
    await workspace.dispose()
    await fleet.dispose()
  }
}

const server = await startPostgres()
try {
  await measureRows(server)
} finally {
  await server.dispose()
}
await measurePulls()
