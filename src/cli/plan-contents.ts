import type { ImageFile } from '../image/contents.ts'
import type { ImageConfig } from '../image/oci.ts'

/** A file of an image, without its contents. */
export type DescribedFile = {
  readonly path: string
  readonly kind: 'file' | 'directory' | 'link' | 'copy'
  readonly mode?: string
  readonly uid?: number
  readonly gid?: number
  /** The target of a link, or the copied path. */
  readonly from?: string
}

export function describeFile(file: ImageFile): DescribedFile {
  if ('link' in file) return { path: file.path, kind: 'link', from: file.link }
  const { path, mode, uid, gid } = file
  const owner = { ...(mode !== undefined && { mode }), uid, gid }
  if ('directory' in file) return { path, kind: 'directory', ...owner }
  return 'store' in file
    ? { path, kind: 'copy', ...owner, from: file.store }
    : { path, kind: 'file', ...owner }
}

/** The start configuration of a container: a line for each field that is set. */
export function configTable(config: ImageConfig): string {
  const lines = Object.entries(config).flatMap(([field, value]) => linesOf(field, value))
  return ['config', ...lines.map((line) => `  ${line}`)].join('\n')
}

function linesOf(field: string, value: unknown): string[] {
  if (field === 'env' && Array.isArray(value)) return value.map((variable) => `env ${String(variable)}`)
  return [`${field} ${typeof value === 'string' ? value : JSON.stringify(value)}`]
}

export function filesTable(files: readonly DescribedFile[]): string {
  const lines = files.map(({ path, kind, mode, uid, gid, from }) => {
    const owner = uid === undefined ? '' : ` ${uid}:${gid}`
    return `  ${kind} ${path}${mode === undefined ? '' : ` ${mode}`}${owner}${from === undefined ? '' : ` <- ${from}`}`
  })
  return ['files', ...lines].join('\n')
}
