import { resolve } from 'node:path'
import { z } from 'zod'
import { parseImageReference } from '../image/name.ts'
import { parseGoDuration } from '../store/go-duration.ts'

export const seconds = z.coerce
  .number()
  .int()
  .min(1)
  .max(7 * 24 * 3600)
export const folder = z
  .string()
  .min(1)
  .transform((path) => resolve(path))
export const text = z.string().min(1)
export const flag = z.stringbool()
export const list = text.transform((value) => value.split(/[\s,]+/).filter((item) => item !== ''))
export const pattern = text.transform((value, context) => {
  try {
    return new RegExp(`^(?:${value})$`)
  } catch {
    context.addIssue('is no regular expression')
    return z.NEVER
  }
})
const units: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 }
export const size = text.transform((value, context) => {
  const groups = /^(?<count>\d+(?:\.\d+)?)\s*(?<unit>[KMGT]?)B?$/i.exec(value)?.groups
  const bytes = Number(groups?.['count']) * (units[(groups?.['unit'] ?? '').toUpperCase()] ?? NaN)
  if (Number.isFinite(bytes) && bytes >= 1) return Math.floor(bytes)
  context.addIssue('must be a size such as 500MB or 2TB, a thousand bytes to the kB')
  return z.NEVER
})
export const duration = text.transform((value, context) => {
  const parsed = parseGoDuration(value)
  if (parsed !== undefined && parsed >= 1) return parsed
  context.addIssue('must be a duration of at least a second, such as 5m or 1h30m')
  return z.NEVER
})

export const isImageReference = (name: string): boolean => {
  try {
    parseImageReference(name)
    return true
  } catch {
    return false
  }
}
