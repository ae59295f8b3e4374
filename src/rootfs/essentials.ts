import { open, readdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Platform } from '../image/platform.ts'
import { byText, type StorePath } from '../image/store-path.ts'
import { leadsTo, type Node, type Tree } from './forest.ts'

/** The files that programs expect of a system, where no package brings them. */
const files: readonly [path: string, text: string][] = [
  ['/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/var/empty:/bin/false\n'],
  ['/etc/group', 'root:x:0:\nnobody:x:65534:\n'],
  [
    '/etc/nsswitch.conf',
    'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n',
  ],
]

const folders: readonly [path: string, mode: number][] = [
  ['/root', 0o700],
  ['/tmp', 0o1777],
  ['/var/empty', 0o555],
  ['/var/tmp', 0o1777],
]

/** Programs that scripts name by these very paths. */
const programs: readonly [path: string, program: string][] = [
  ['/bin/sh', 'bin/sh'],
  ['/usr/bin/env', 'bin/env'],
]

/**
 * Adds to a tree what makes it look like a system: accounts, temporary folders, `/bin/sh` and `/usr/bin/env`.
 * What a package brings is kept, but for the modes of temporary folders.
 * @param closure where the programs are looked for: the requested packages first, then what they need
 */
export async function addEssentials(
  tree: Tree,
  closure: readonly StorePath[],
  platform: Platform,
): Promise<void> {
  const store = dirname(closure[0] ?? '/nix/store/none')
  for (const [path, text] of files) {
    const { parent, name } = await descend(tree, path, store)
    if (parent && !parent.has(name)) parent.set(name, { kind: 'file', text, mode: 0o644 })
  }
  for (const [path, mode] of folders) {
    const { parent, name } = await descend(tree, path, store)
    const existing = parent?.get(name)
    const children = existing && (await childrenOf(existing, store))
    parent?.set(name, { kind: 'directory', mode, children: children ?? new Map() })
  }
  for (const [path, program] of programs) {
    const { parent, name } = await descend(tree, path, store)
    if (!parent || parent.has(name)) continue
    const target = await findProgram(closure, program, platform)
    if (target) parent.set(name, { kind: 'link', target })
  }
}

/**
 * The directory that a path lies in, made where there is none. A link to a package's directory becomes a directory
 * of links, so that something can be put beside them; undefined where a package has a file instead.
 */
async function descend(
  tree: Tree,
  path: string,
  store: string,
): Promise<{ parent: Tree | undefined; name: string }> {
  const parts = path.slice(1).split('/')
  const name = parts.pop() ?? ''
  let parent: Tree = tree
  for (const part of parts) {
    const existing: Node | undefined = parent.get(part)
    const children: Tree | undefined = existing ? await childrenOf(existing, store) : new Map()
    if (!children) return { parent: undefined, name }
    if (existing?.kind !== 'directory') parent.set(part, { kind: 'directory', children })
    parent = children
  }
  return { parent, name }
}

async function childrenOf(node: Node, store: string): Promise<Tree | undefined> {
  if (node.kind === 'directory') return node.children
  if (node.kind === 'file') return undefined
  const target = await leadsTo(node.target, store)
  if (target === undefined || !(await stat(target)).isDirectory()) return undefined
  const names = (await readdir(target)).sort(byText)
  return new Map(names.map((name) => [name, { kind: 'link', target: `${node.target}/${name}` }]))
}

async function findProgram(closure: readonly StorePath[], program: string, platform: Platform) {
  for (const storePath of closure) {
    const path = `${storePath}/${program}`
    const target = await leadsTo(path, dirname(storePath))
    if (target !== undefined && (await runsOn(target, platform))) return path
  }
  return undefined
}

// e_machine of the ELF header (System V ABI; EM_X86_64, EM_AARCH64).
const machines: Readonly<Record<Platform['architecture'], number>> = { amd64: 62, arm64: 183 }

/** Whether this is a program of this platform. A script runs wherever its interpreter does. */
async function runsOn(path: string, platform: Platform): Promise<boolean> {
  const file = await open(path)
  try {
    if (!(await file.stat()).isFile()) return false
    const { buffer, bytesRead } = await file.read(Buffer.alloc(20), 0, 20, 0)
    if (buffer.subarray(0, 2).toString() === '#!') return true
    const isElf = bytesRead === 20 && buffer.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))
    return isElf && buffer.readUInt16LE(18) === machines[platform.architecture]
  } finally {
    await file.close()
  }
}
