import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { settingNames } from '../src/config.ts'
import { capabilities } from './support/container-rights.ts'
import { documents } from './support/documents.ts'
import { openHelm, type Helm, type KubernetesObject } from './support/helm.ts'

// Checks deploy/helm with Helm and the schemas of Kubernetes, without a cluster.

const chart = join(import.meta.dirname, '..', 'deploy', 'helm')
const required = [
  '--set',
  'image.repository=registry.example.org/nixery',
  '--set',
  'settings.NIXERY_CHANNEL=x',
]
const everything = [
  ['image.digest', `sha256:${'0'.repeat(64)}`],
  ['ingress.enabled', 'true'],
  ['ingress.host', 'nixery.example.org'],
  ['ingress.tlsSecret', 'certificate'],
  ['httpRoute.enabled', 'true'],
  ['httpRoute.parentRefs[0].name', 'gateway'],
  ['httpRoute.hostnames[0]', 'nixery.example.org'],
  ['networkPolicy.enabled', 'true'],
  ['networkPolicy.from[0].ipBlock.cidr', '10.0.0.0/8'],
  ['metrics.serviceMonitor.enabled', 'true'],
  ['metrics.serviceMonitor.labels.release', 'prometheus'],
  ['existingSecrets[0]', 'bucket'],
  ['imagePullSecrets[0].name', 'registry'],
  ['extraEnv[0].name', 'NIX_CONFIG'],
  ['extraEnv[0].value', 'substitute = false'],
  ['extraVolumes[0].name', 'keys'],
  ['extraVolumes[0].secret.secretName', 'keys'],
  ['extraVolumeMounts[0].name', 'keys'],
  ['extraVolumeMounts[0].mountPath', '/keys'],
  ['runtimeClassName', 'kata'],
  ['priorityClassName', 'high'],
  ['nodeSelector.disk', 'ssd'],
  ['tolerations[0].key', 'builds'],
  ['podAnnotations.a', 'b'],
  ['podLabels.c', 'd'],
  ['podSecurityContext.fsGroup', '0'],
  ['service.type', 'NodePort'],
  ['service.nodePort', '30080'],
  ['persistence.storageClass', 'fast'],
  ['serviceAccount.annotations.role', 'reader'],
].flatMap(([name, value]) => ['--set', `${name}=${value}`])

type ConfigMap = KubernetesObject & { data: Record<string, string> }
type Labelled = { metadata: { labels: Record<string, string> } }
type Deployment = KubernetesObject & {
  spec: {
    selector: { matchLabels: Record<string, string> }
    template: Labelled & {
      metadata: { annotations: Record<string, string> }
      spec: { containers: { image: string; securityContext: { capabilities: object } }[] }
    }
  }
}

describe('the Helm chart', { timeout: 900_000 }, () => {
  let helm: Helm
  before(async () => {
    helm = await openHelm()
  })
  const render = async <T extends KubernetesObject = KubernetesObject>(...values: string[]): Promise<T[]> =>
    helm.objectsIn<T>(await helm.run('template', 'release', chart, ...required, ...values))
  const renderOne = async <T extends KubernetesObject>(kind: string, ...values: string[]): Promise<T> => {
    const matching = (await render<T>(...values)).filter((object) => object.kind === kind)
    assert.equal(matching.length, 1, kind)
    return matching[0] as T
  }

  it('passes lint', async () => {
    await helm.run('lint', '--strict', chart, ...required)
  })

  it('renders objects that Kubernetes accepts', async () => {
    const few = await render()
    const many = await render(...everything)
    for (const object of [...few, ...many]) await helm.validate(object)
    assert.deepEqual(many.map(({ kind }) => kind).sort(), [
      'ConfigMap',
      'Deployment',
      'HTTPRoute',
      'Ingress',
      'NetworkPolicy',
      'PersistentVolumeClaim',
      'Pod',
      'Service',
      'ServiceAccount',
      'ServiceMonitor',
    ])
    // The schemas reject invalid objects.
    await assert.rejects(helm.validate({ ...few[0], metadata: { name: 7 } } as never), /metadata.name/)
  })

  it('accepts the values in its documentation', async (test) => {
    const folder = await mkdtemp(join(tmpdir(), 'nixery-helm-'))
    test.after(() => rm(folder, { recursive: true, force: true }))
    const blocks = (documents().get('docs/kubernetes.md') ?? '').matchAll(/```yaml\n(.*?)```/gs)
    const values = [...blocks].map(([, block = '']) => block).filter((block) => block.includes('settings:'))
    assert.equal(values.length, 2)
    for (const [index, text] of values.entries()) {
      const file = join(folder, `${index}.yaml`)
      await writeFile(file, text)
      for (const object of await render('--values', file)) await helm.validate(object)
    }
  })

  it('passes known settings to the server, with numbers unchanged', async () => {
    const { data } = await renderOne<ConfigMap>('ConfigMap', '--set', 'settings.NIX_TIMEOUT=1000000')
    assert.equal(data['NIX_TIMEOUT'], '1000000')
    assert.deepEqual(
      Object.keys(data).filter((name) => !settingNames.includes(name)),
      [],
    )
  })

  it('selects only the pods of the server, and replaces them when settings change', async () => {
    const pods = await renderOne<KubernetesObject & Labelled>('Pod')
    const [old, changed] = [
      await renderOne<Deployment>('Deployment'),
      await renderOne<Deployment>('Deployment', '--set', 'settings.NIXERY_KEEP=30'),
    ]
    const { matchLabels } = old.spec.selector
    const selects = ({ metadata: { labels } }: Labelled): boolean =>
      Object.entries(matchLabels).every(([name, value]) => labels[name] === value)
    assert.deepEqual([selects(old.spec.template), selects(pods)], [true, false])
    assert.notDeepEqual(old.spec.template.metadata.annotations, changed.spec.template.metadata.annotations)
  })

  it('grants the server the capabilities that its image is tested with', async () => {
    const { spec } = await renderOne<Deployment>('Deployment')
    const granted = spec.template.spec.containers[0]?.securityContext.capabilities
    assert.deepEqual(granted, { drop: ['ALL'], add: capabilities })
  })

  it('prefers a digest over a tag', async () => {
    const digest = `sha256:${'1'.repeat(64)}`
    const { spec } = await renderOne<Deployment>('Deployment', '--set', `image.digest=${digest},image.tag=v1`)
    assert.equal(spec.template.spec.containers[0]?.image, `registry.example.org/nixery@${digest}`)
  })

  const refused: [values: string, message: RegExp][] = [
    ['image.repository=', /image\.repository is required/],
    ['settings.NIXERY_CHANNEL=null', /settings names no package set/],
    ['settings.S3_SECRET_KEY=x', /settings\.S3_SECRET_KEY is a secret: .* existingSecrets/],
    ['settings.PORT=80', /PORT/],
    ['persistance.enabled=false', /persistance/],
    ['ingress.enabled=true', /ingress\.host is required/],
    ['httpRoute.enabled=true', /httpRoute\.parentRefs is required/],
    ['image.digest=latest', /digest/],
  ]
  for (const [values, message] of refused) {
    it(`refuses ${values}`, async () => {
      await assert.rejects(render('--set', values), message)
    })
  }

  it('prints the command that pulls an image', async () => {
    const notes = async (...values: string[]) =>
      helm.run('install', 'release', chart, '--dry-run=client', ...required, ...values)
    assert.match(await notes(), /kubectl .*port-forward service\/release-nixery 8080:80\n +podman pull/)
    assert.match(await notes(...everything), /podman pull nixery\.example\.org\/shell\/git/)
  })
})
