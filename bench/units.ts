import type { Unit } from './case.ts'

const scaled = (value: number, steps: readonly (readonly [number, string])[]): string => {
  // Smaller values use the smallest step.
  const [factor, name] = steps.find(([least]) => Math.abs(value) >= least) ?? steps.at(-1) ?? [1, '']
  return `${significant(value / factor)} ${name}`
}

/** Three significant digits, without an exponent. */
function significant(value: number): string {
  const size = Math.abs(value)
  if (size >= 100 || value === 0) return String(Math.round(value))
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3)
}

/** A number with its unit, for people: `4.12 s`, `1.6 GB/s`, `15,123 /s`. */
export function format(value: number, unit: Unit): string {
  switch (unit) {
    case 'ms':
      return scaled(value, [
        [1000, 's'],
        [1, 'ms'],
      ])
    case 'bytes':
      return scaled(value, sizes)
    case 'bytes/s':
      return `${scaled(value, sizes)}/s`
    case 'requests/s':
      return `${Math.round(value).toLocaleString('en')} /s`
    case 'count':
      return value.toLocaleString('en', { maximumFractionDigits: 1 })
    case 'ratio':
      return `${value.toFixed(3)} ×`
  }
}

const sizes = [
  [1e9, 'GB'],
  [1e6, 'MB'],
  [1e3, 'kB'],
  [1, 'B'],
] as const

/** Whether higher values are better. */
export const moreIsBetter = (unit: Unit): boolean => unit === 'requests/s' || unit === 'bytes/s'
