import type { Container } from '../support/clients/container.ts'

/** Something that an image is to do in a container. */
export type Case = {
  /** What it shows. Where docs/images.md promises it, the row's first column there. */
  readonly name: string
  readonly image: string
  readonly container?: Container
  /** The container goes on running this, and the case is run inside of it. */
  readonly keep?: readonly [string, ...string[]]
  /** For `sh -c`, or a program and what it is given. */
  readonly run: string | readonly string[]
  /** Its standard input; only with `keep`. */
  readonly input?: Uint8Array | string
  /** Everything that it prints, without the white space around. */
  readonly prints: string | RegExp
  /** Clients that cannot be asked to do this, and why. */
  readonly except?: Readonly<Partial<Record<ClientName, string>>>
}

export type ClientName = 'podman' | 'docker' | 'docker on containerd' | 'containerd'

/** Cases that one container can show, one after the other. */
export type Group = Pick<Case, 'image' | 'container' | 'keep'> & { readonly cases: readonly Case[] }

/** Fewer containers, as each takes a quarter of a second. A program that is no script has one of its own. */
export function grouped(cases: readonly Case[]): Group[] {
  const groups = new Map<string, Case[]>()
  for (const [index, each] of cases.entries()) {
    const { image, container, keep, run } = each
    const isAlone = keep === undefined && typeof run !== 'string'
    const key = JSON.stringify([image, container, keep, isAlone ? index : ''])
    groups.set(key, [...(groups.get(key) ?? []), each])
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { image, container, keep } = first
    return [{ image, ...(container && { container }), ...(keep && { keep }), cases: group }]
  })
}

/** The rows of a table below a heading of a document, each as its cells without the marks of code. */
export function rowsBelow(document: string, heading: string): string[][] {
  const [, text = ''] = document.split(`\n${heading}\n`)
  const [section = ''] = text.split(/\n#+ /)
  const lines = section.split('\n').filter((line) => line.startsWith('|'))
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('`', '').trim()),
  )
}
