import { tableCell, type Value } from './sqlite-record.ts'
import { leafOf, pageSize, writeIndex, writeTable, type AddPage } from './sqlite-tree.ts'

/**
 * Database files of SQLite, written by us: bytes depend on what is in them alone, and not on a version of the library,
 * which notes its number in every file that it writes and is free to lay out pages as it likes.
 */

/** Something of a schema: a row of `sqlite_schema`, with what its B-tree holds. */
export type SchemaObject =
  | { readonly type: 'table'; readonly name: string; readonly sql: string; readonly rows: readonly Row[] }
  | {
      readonly type: 'index'
      readonly name: string
      readonly table: string
      /** Null for an index that SQLite makes of a constraint of its table, which comes before it. */
      readonly sql: string | null
      /** Its columns and the rowid, in the index's order. */
      readonly entries: readonly Row[]
    }
  | { readonly type: 'trigger'; readonly name: string; readonly table: string; readonly sql: string }

/** The values of a table's row, null for a column that is the rowid; the rowids are 1, 2, 3, … */
export type Row = readonly Value[]

/** The file of a database with this schema, which must fit on one page. */
export function sqliteFile(schema: readonly SchemaObject[]): Buffer {
  // The first page has the schema, which says where everything else begins.
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

/** What counts the file's changes, and is the same beside the file's size where that can be believed. */
const changes = 1

/** SQLite 3.7.0: the first version that writes files of this form, and none that anybody runs. */
const writtenBy = 3_007_000

/** The header of a file (https://www.sqlite.org/fileformat2.html#the_database_header). What is left out is 0. */
function headerOf(pages: number): Buffer {
  const header = Buffer.alloc(headerSize)
  header.write('SQLite format 3\0', 'latin1')
  header.writeUInt16BE(pageSize, 16)
  // Read and written without a write-ahead log, until a program asks for one.
  header.set([1, 1], 18)
  // Shares of a page that payloads may take: fixed.
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
