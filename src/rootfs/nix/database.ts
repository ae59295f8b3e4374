import type { PathFacts } from '../../image/store-path.ts'
import { sqliteFile, type Row, type SchemaObject } from './sqlite-file.ts'

/** The version of the schema below, which all versions of Nix since 2.0 (2018) and Lix use. Later versions migrate it. */
export const nixSchemaVersion = 10

/**
 * Builds Nix's database of valid paths (`/nix/var/nix/db/db.sqlite`) for a store with exactly these paths. The bytes do not
 * depend on the machine or the version of SQLite.
 * @param paths a complete closure, in byte order
 */
export function nixDatabase(paths: readonly PathFacts[]): Buffer {
  const ids = new Map(paths.map(({ storePath }, index) => [storePath, index + 1]))
  const idOf = (path: PathFacts['storePath']): number => {
    const id = ids.get(path)
    if (id === undefined) throw new Error(`incomplete closure: no facts for ${path}`)
    return id
  }
  const refs = paths.flatMap(({ storePath, references }) =>
    references.map((reference) => [idOf(storePath), idOf(reference)] as const).sort(byNumbers),
  )
  const withRowids = refs.map(([referrer, reference], index) => [referrer, reference, index + 1] as const)
  return sqliteFile(schemaWith({ paths, refs, withRowids }))
}

type Refs = readonly (readonly [referrer: number, reference: number])[]
type RefsWithRowids = readonly (readonly [referrer: number, reference: number, rowid: number])[]

/** A registration time that no real path has. */
const registrationTime = 1

const rowOf = ({ storePath, narHash, narSize }: PathFacts): Row => [
  null,
  storePath,
  `sha256:${Buffer.from(narHash.slice('sha256-'.length), 'base64').toString('hex')}`,
  registrationTime,
  null, // deriver: not in the image
  narSize,
  null, // ultimate: not built here
  null,
  null,
]

const byNumbers = (a: readonly number[], b: readonly number[]): number =>
  (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0)

/** Nix's schema (libstore/schema.sql), in the order of SQLite's schema table. */
const schemaWith = (rows: {
  readonly paths: readonly PathFacts[]
  readonly refs: Refs
  readonly withRowids: RefsWithRowids
}): readonly SchemaObject[] => [
  {
    type: 'table',
    name: 'ValidPaths',
    sql: `CREATE TABLE ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null,
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer, -- null implies "false"
    sigs             text, -- space-separated
    ca               text -- if not null, an assertion that the path is content-addressed; see ValidPathInfo
)`,
    rows: rows.paths.map(rowOf),
  },
  {
    type: 'index',
    name: 'sqlite_autoindex_ValidPaths_1',
    table: 'ValidPaths',
    sql: null,
    entries: rows.paths.map(({ storePath }, index) => [storePath, index + 1]),
  },
  {
    type: 'table',
    name: 'sqlite_sequence',
    sql: 'CREATE TABLE sqlite_sequence(name,seq)',
    rows: rows.paths.length > 0 ? [['ValidPaths', rows.paths.length]] : [],
  },
  {
    type: 'table',
    name: 'Refs',
    sql: `CREATE TABLE Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
)`,
    rows: rows.refs,
  },
  {
    type: 'index',
    name: 'sqlite_autoindex_Refs_1',
    table: 'Refs',
    sql: null,
    entries: rows.withRowids,
  },
  {
    type: 'index',
    name: 'IndexReferrer',
    table: 'Refs',
    sql: 'CREATE INDEX IndexReferrer on Refs(referrer)',
    entries: rows.withRowids.map(([referrer, , rowid]) => [referrer, rowid]),
  },
  {
    type: 'index',
    name: 'IndexReference',
    table: 'Refs',
    sql: 'CREATE INDEX IndexReference on Refs(reference)',
    entries: rows.withRowids.map(([, reference, rowid]) => [reference, rowid]).sort(byNumbers),
  },
  {
    type: 'trigger',
    name: 'DeleteSelfRefs',
    table: 'ValidPaths',
    sql: `CREATE TRIGGER DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end`,
  },
  {
    type: 'table',
    name: 'DerivationOutputs',
    sql: `CREATE TABLE DerivationOutputs (
    drv  integer not null,
    id   text not null, -- symbolic output id, usually "out"
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
)`,
    rows: [],
  },
  {
    type: 'index',
    name: 'sqlite_autoindex_DerivationOutputs_1',
    table: 'DerivationOutputs',
    sql: null,
    entries: [],
  },
  {
    type: 'index',
    name: 'IndexDerivationOutputs',
    table: 'DerivationOutputs',
    sql: 'CREATE INDEX IndexDerivationOutputs on DerivationOutputs(path)',
    entries: [],
  },
]
