import { tableCell, type Value } from './sqlite-record.ts'
import { leafOf, pageSize, writeIndex, writeTable, type AddPage } from './sqlite-tree.ts'

/**
 * Writes database files of SQLite without the library, so that the bytes depend only on the contents. The library writes
 * its version into every file, and can choose any page layout.
 */

/** A row of `sqlite_schema`, with the contents of its B-tree. */
export type SchemaObject =
  | { readonly type: 'table'; readonly name: string; readonly sql: string; readonly rows: readonly Row[] }
  | {
      readonly type: 'index'
      readonly name: string
      readonly table: string
      /** Null for an index that implements a constraint of its table. The table must come first. */
      readonly sql: string | null
      /** The indexed columns and the rowid, in the order of the index. */
      readonly entries: readonly Row[]
    }
  | { readonly type: 'trigger'; readonly name: string; readonly table: string; readonly sql: string }

/** The values of a row; null for the column of the rowid. Rowids are 1, 2, 3, … */
export type Row = readonly Value[]

/** Builds a database file with this schema, which must fit in one page. */
export function sqliteFile(schema: readonly SchemaObject[]): Buffer {
  // The first page has the schema with the root pages of all objects.
  const pages: Buffer[] = [Buffer.alloc(pageSize)]
  const add: AddPage = (page) => pages.push(page)
  const cells = schema.map((each, index) => {
    const table = each.type === 'table' ? each.name : each.table
    return tableCell([each.type, each.name, table, rootOf(each, add), each.sql], index + 1)
  })
  pages[0] = leafOf('table', cells, headerSize)
  headerOf(pages.length).copy(pages[0])
  return Buffer.concat(pages)
}

function rootOf(object: SchemaObject, add: AddPage): number {
  if (object.type === 'table') return writeTable(object.rows, add)
  return object.type === 'index' ? writeIndex(object.entries, add) : 0
}

const headerSize = 100

/** The change counter, which is also stored as the "version valid for" number, so that the file size is valid. */
const changes = 1

/** SQLite 3.7.0, the first version with this format. */
const writtenBy = 3_007_000

/** The file header (https://www.sqlite.org/fileformat2.html#the_database_header). Other fields are 0. */
function headerOf(pages: number): Buffer {
  const header = Buffer.alloc(headerSize)
  header.write('SQLite format 3\0', 'latin1')
  header.writeUInt16BE(pageSize, 16)
  // Read and write versions without a write-ahead log.
  header.set([1, 1], 18)
  // Payload fractions, which are fixed.
  header.set([64, 32, 32], 21)
  header.writeUInt32BE(changes, 24)
  header.writeUInt32BE(pages, 28)
  const schemaCookie = 1
  header.writeUInt32BE(schemaCookie, 40)
  const schemaFormat = 4
  header.writeUInt32BE(schemaFormat, 44)
  const utf8 = 1
  header.writeUInt32BE(utf8, 56)
  header.writeUInt32BE(changes, 92)
  header.writeUInt32BE(writtenBy, 96)
  return header
}
