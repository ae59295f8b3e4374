/** A size for people, in powers of ten: `12 kB`, `54.3 MB`, `1.25 GB`. */
export function bytesText(bytes: number): string {
  if (bytes <= 999e3) return `${Math.ceil(bytes / 1e3)} kB`
  // What would be rounded to 1000 MB is a gigabyte.
  return bytes < 999.95e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}

/** `3 layers`, `1 layer` */
export const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`

/** `3 names do not evaluate`, `1 name does not evaluate` */
export const notEvaluated = (count: number): string =>
  `${counted(count, 'name')} ${count === 1 ? 'does' : 'do'} not evaluate`
