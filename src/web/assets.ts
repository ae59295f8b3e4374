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
  /** For pages with `data-live` links. */
  readonly script: Asset
  find(path: string): Asset | undefined
}

/**
 * Reads the files once. Their names contain a hash of their contents, so browsers can cache them forever and still load
 * the new ones after an update.
 */
export function readAssets(): Assets {
  const style = read(['page.css', 'compose.css'], 'text/css; charset=utf-8')
  const logo = read(['logo.svg'], 'image/svg+xml')
  const script = read(['live.js'], 'text/javascript; charset=utf-8')
  const all = [style, logo, script]
  return { style, logo, script, find: (path) => all.find((asset) => asset.path === path) }
}

/** Concatenates files under the name of the first. */
function read(files: readonly [string, ...string[]], contentType: string): Asset {
  const bytes = Buffer.concat(files.map((file) => readFileSync(join(import.meta.dirname, 'static', file))))
  const [file] = files
  const extension = extname(file)
  const name = `${file.slice(0, -extension.length)}-${hash('sha256', bytes).slice(0, 16)}${extension}`
  return { path: `/static/${name}`, contentType, bytes }
}
