import { indexCell, tableCell, varint, type Value } from './sqlite-record.ts'

/**
 * Writes B-trees of SQLite from sorted rows (https://www.sqlite.org/fileformat2.html#b_tree_pages). Rows are short, so
 * there are no overflow pages. Pages are filled in order and never changed.
 */

/** The page size in bytes, SQLite's default. */
export const pageSize = 4096

/** Appends a page and returns its number. The first page of a file is number 1. */
export type AddPage = (page: Buffer) => number

const kinds = {
  table: { leaf: 0x0d, interior: 0x05 },
  index: { leaf: 0x0a, interior: 0x02 },
} as const
type Kind = keyof typeof kinds

/** A page, and the divider between it and the next page on the level above; the last page has none. */
type Child = { readonly page: number; readonly divider: Buffer | undefined }

/**
 * Writes a table and returns the number of its root page.
 * @param rows in the order of their rowids, which are 1, 2, 3, …
 */
export function writeTable(rows: readonly (readonly Value[])[], add: AddPage): number {
  const groups = filled(rows.map((row, index) => tableCell(row, index + 1)))
  let rowid = 0
  const leaves = groups.map((group, index): Child => {
    rowid += group.length
    const divider = index === groups.length - 1 ? undefined : varint(rowid)
    return { page: add(leafOf('table', group)), divider }
  })
  return writeAbove('table', leaves, add)
}

/**
 * Writes an index and returns the number of its root page.
 * @param entries the indexed columns and the rowid of each row, in the index's order
 */
export function writeIndex(entries: readonly (readonly Value[])[], add: AddPage): number {
  const leaves = divided(entries.map(indexCell), leafRoom).map(({ inside, divider }): Child => {
    return { page: add(leafOf('index', inside)), divider }
  })
  return writeAbove('index', leaves, add)
}

/**
 * A leaf page.
 * @param offset the start of the page header: after the file header on the first page
 */
export const leafOf = (kind: Kind, cells: readonly Buffer[], offset = 0): Buffer =>
  pageOf(kinds[kind].leaf, cells, { offset })

function writeAbove(kind: Kind, level: readonly Child[], add: AddPage): number {
  const last = level.at(-1)
  if (!last) throw new Error('a level of a tree must have a page')
  if (level.length === 1) return last.page
  // A page's last child is in its header; its divider moves to the level above.
  const cells = level.flatMap(({ page, divider }) =>
    divider ? [Buffer.concat([uint32(page), divider])] : [],
  )
  const above = divided(cells, interiorRoom).map(({ inside, divider }): Child => {
    const rightmost = divider ? divider.readUInt32BE(0) : last.page
    return {
      page: add(pageOf(kinds[kind].interior, inside, { rightmost })),
      divider: divider?.subarray(4),
    }
  })
  return writeAbove(kind, above, add)
}

const pointerSize = 2
const leafHeader = 8
const interiorHeader = 12
const leafRoom = pageSize - leafHeader
const interiorRoom = pageSize - interiorHeader

/** Splits cells into groups that fit in a leaf page; at least one group. */
function filled(cells: readonly Buffer[]): Buffer[][] {
  const groups: Buffer[][] = [[]]
  let used = 0
  for (const cell of cells) {
    const size = cell.length + pointerSize
    if (used + size > leafRoom) {
      groups.push([])
      used = 0
    }
    groups.at(-1)?.push(cell)
    used += size
  }
  return groups
}

/** Splits cells into groups that fit in a page; the cell between two groups divides them. Only a single group can be empty. */
function divided(cells: readonly Buffer[], room: number): { inside: Buffer[]; divider?: Buffer }[] {
  const groups: { inside: Buffer[]; divider?: Buffer }[] = []
  let inside: Buffer[] = []
  let used = 0
  for (const [index, cell] of cells.entries()) {
    const size = cell.length + pointerSize
    if (used + size <= room) {
      inside.push(cell)
      used += size
      continue
    }
    // The last cell cannot be a divider, since no group would follow.
    const isLast = index === cells.length - 1
    const divider = isLast ? inside.pop() : cell
    groups.push(divider ? { inside, divider } : { inside })
    inside = isLast ? [cell] : []
    used = 0
  }
  return [...groups, { inside }]
}

function pageOf(
  type: number,
  cells: readonly Buffer[],
  { offset = 0, rightmost }: { offset?: number; rightmost?: number },
): Buffer {
  const page = Buffer.alloc(pageSize)
  const pointers = offset + (rightmost === undefined ? leafHeader : interiorHeader)
  let end = pageSize
  for (const [index, cell] of cells.entries()) {
    end -= cell.length
    if (end < pointers + pointerSize * cells.length) throw new Error('the cells do not fit in a page')
    cell.copy(page, end)
    page.writeUInt16BE(end, pointers + pointerSize * index)
  }
  page.writeUInt8(type, offset)
  page.writeUInt16BE(cells.length, offset + 3)
  page.writeUInt16BE(end, offset + 5)
  if (rightmost !== undefined) page.writeUInt32BE(rightmost, offset + 8)
  return page
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
