/** A rectangle for an item, in the units of the area. */
export type Tile<T> = {
  readonly item: T
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

type Area = { readonly x: number; readonly y: number; readonly width: number; readonly height: number }

/**
 * Divides a rectangle among items in proportion to their sizes, in tiles that are as square as possible (Bruls, Huizing
 * and van Wijk, "Squarified Treemaps", 2000). Items without a size have no tile.
 */
export function treemap<T>(items: readonly T[], sizeOf: (item: T) => number, area: Area): Tile<T>[] {
  const sorted = items.filter((item) => sizeOf(item) > 0).toSorted((a, b) => sizeOf(b) - sizeOf(a))
  const total = sorted.reduce((sum, item) => sum + sizeOf(item), 0)
  const scale = total === 0 ? 0 : (area.width * area.height) / total
  const space = (item: T) => sizeOf(item) * scale
  const tiles: Tile<T>[] = []
  let rest = area
  let from = 0
  while (from < sorted.length) {
    const side = Math.min(rest.width, rest.height)
    let to = from + 1
    let row = sum(sorted.slice(from, to), space)
    let worst = worstRatio(sorted.slice(from, to).map(space), row, side)
    while (to < sorted.length) {
      const next = sorted.slice(from, to + 1).map(space)
      const nextRow = next.reduce((a, b) => a + b, 0)
      const ratio = worstRatio(next, nextRow, side)
      if (ratio > worst) break
      ;[to, row, worst] = [to + 1, nextRow, ratio]
    }
    const isUpright = rest.width >= rest.height
    const depth = side === 0 ? 0 : row / side
    let at = isUpright ? rest.y : rest.x
    for (const item of sorted.slice(from, to)) {
      const length = depth === 0 ? 0 : space(item) / depth
      tiles.push(
        isUpright
          ? { item, x: rest.x, y: at, width: depth, height: length }
          : { item, x: at, y: rest.y, width: length, height: depth },
      )
      at += length
    }
    rest = isUpright
      ? { ...rest, x: rest.x + depth, width: Math.max(0, rest.width - depth) }
      : { ...rest, y: rest.y + depth, height: Math.max(0, rest.height - depth) }
    from = to
  }
  return tiles
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

/** The worst aspect ratio of the tiles of a row; 1 if all are squares. */
function worstRatio(spaces: readonly number[], row: number, side: number): number {
  const [most, least] = [Math.max(...spaces), Math.min(...spaces)]
  if (row === 0 || least === 0) return Infinity
  return Math.max((side * side * most) / (row * row), (row * row) / (side * side * least))
}
