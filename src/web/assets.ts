import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'

/** A file that pages link to. */
export type Asset = {
  readonly path: string
  readonly contentType: string
  readonly bytes: Buffer<ArrayBuffer>
}

/** Every file under `/static/`, by path. */
export type Assets = {
  readonly style: Asset
  readonly logo: Asset
  find(path: string): Asset | undefined
}

/**
 * Reads the files once. Their names contain a hash of their contents, so that a browser may cache one forever and
 * still gets the new one after an update.
 */
export function readAssets(): Assets {
  const style = read('page.css', 'text/css; charset=utf-8')
  const logo = read('logo.svg', 'image/svg+xml')
  return { style, logo, find: (path) => [style, logo].find((asset) => asset.path === path) }
}

function read(file: string, contentType: string): Asset {
  const bytes = readFileSync(join(import.meta.dirname, 'static', file))
  const extension = extname(file)
  const name = `${file.slice(0, -extension.length)}-${hash('sha256', bytes).slice(0, 16)}${extension}`
  return { path: `/static/${name}`, contentType, bytes }
}
