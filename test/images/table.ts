import type { Container } from '../support/clients/container.ts'

/** A test of an image in a container. */
export type Case = {
  /** The title. For behavior that docs/images.md describes, the first column of its row there. */
  readonly name: string
  readonly image: string
  readonly container?: Container
  /** A command that keeps the container running; the case then runs inside of it. */
  readonly keep?: readonly [string, ...string[]]
  /** A script for `sh -c`, or a program and its arguments. */
  readonly run: string | readonly string[]
  /** Its standard input; only with `keep`. */
  readonly input?: Uint8Array | string
  /** The complete output, trimmed. */
  readonly prints: string | RegExp
  /** Clients that cannot run this case, and why. */
  readonly except?: Readonly<Partial<Record<ClientName, string>>>
}

export type ClientName = 'podman' | 'docker' | 'docker on containerd' | 'containerd'

/** Cases that can run in one container, one after the other. */
export type Group = Pick<Case, 'image' | 'container' | 'keep'> & { readonly cases: readonly Case[] }

/** Groups cases to save containers, which take 0.25 s each. A program that is not a script gets a separate container. */
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

/** The rows of the table below a heading, each as its cells without backticks. */
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
