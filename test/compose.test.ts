import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { readConfig, settingNames } from '../src/config.ts'
import { capabilities } from './support/container-rights.ts'
import { documents } from './support/documents.ts'
import { openHelm } from './support/helm.ts'

// Compares deploy/compose.yaml with the program, its image and the documentation.

type Service = {
  image: string
  profiles?: string[]
  entrypoint?: string[]
  environment?: Record<string, string>
  env_file?: string[]
  ports?: string[]
  volumes?: string[]
  cap_drop?: string[]
  cap_add?: string[]
  depends_on?: string[]
  stop_grace_period?: string
}
const passwords = { POSTGRES_PASSWORD: 'hidden', S3_SECRET_KEY: 'hidden2' }
type Compose = { services: Record<string, Service>; volumes: Record<string, null> }

const deploy = join(import.meta.dirname, '..', 'deploy')
const text = readFileSync(join(deploy, 'compose.yaml'), 'utf8')
const page = documents().get('docs/compose.md') ?? ''

/** The variables of an `env_file`: everything after the equals sign is the value, including quotes. */
function variablesOf(file: string): Record<string, string> {
  const lines = readFileSync(join(deploy, file), 'utf8').split('\n')
  const assignments = lines.filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(assignments.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]))
}

/** Expands the variables of a value as Compose does. `$$` is a dollar sign. */
const expand = (value: string, variables: Readonly<Record<string, string>>): string =>
  value.replaceAll(/\$(?:\$|\{(\w+):-([^}]*)\})/g, (whole: string, name?: string, fallback?: string) =>
    whole === '$$' ? '$' : (variables[name ?? ''] ?? fallback ?? ''),
  )

describe('the Compose file', { timeout: 900_000 }, () => {
  let compose: Compose
  let programs: [name: string, service: Service][]
  before(async () => {
    const [parsed] = (await openHelm()).objectsIn(text)
    compose = parsed as unknown as Compose
    programs = Object.entries(compose.services).filter(([, { image }]) => image.includes('NIXERY_IMAGE'))
  })
  const settingsOf = ({ env_file = [], environment = {} }: Service, variables = {}): Record<string, string> =>
    Object.fromEntries(
      Object.entries({ ...Object.assign({}, ...env_file.map(variablesOf)), ...environment }).map(
        ([name, value]) => [name, expand(String(value), variables)],
      ),
    )

  it('starts one server unless a profile is selected', () => {
    const always = Object.entries(compose.services).filter(([, { profiles }]) => profiles === undefined)
    assert.deepEqual(
      always.map(([name]) => name),
      ['server'],
    )
    const roles = programs.map(
      ([name, service]) => `${name} ${readConfig(settingsOf(service, passwords)).NIXERY_ROLE}`,
    )
    assert.deepEqual(roles, ['server all', 'front-1 front', 'front-2 front', 'worker worker'])
  })

  it('gives every process settings that it knows and accepts', () => {
    for (const [name, service] of programs) {
      const settings = settingsOf(service, passwords)
      const unknown = Object.keys(settings).filter((setting) => !settingNames.includes(setting))
      assert.deepEqual(unknown, [], name)
      const { PORT, NIXERY_GRACE, NIXERY_DATABASE_URL, S3_SECRET_KEY } = readConfig(settings)
      for (const port of service.ports ?? []) assert.match(expand(port, {}), new RegExp(`:${PORT}$`))
      assert.ok(Number.parseInt(service.stop_grace_period ?? '', 10) > NIXERY_GRACE, name)
      if (name === 'server') continue
      assert.equal(new URL(NIXERY_DATABASE_URL ?? '').password, 'hidden')
      assert.equal(S3_SECRET_KEY, 'hidden2')
    }
  })

  it('gives front ends and workers the same settings except their roles', () => {
    const [first, ...others] = programs
      .filter(([name]) => name !== 'server')
      .map(([, service]) => ({ ...settingsOf(service), NIXERY_ROLE: '' }))
    for (const other of others) assert.deepEqual(other, first)
  })

  it('has no key that is a common word, because logs hide keys', () => {
    for (const [name, service] of programs) {
      const settings = settingsOf(service, passwords)
      const { S3_ACCESS_KEY: key = name, ...others } = settings
      assert.ok(!'/var/lib/nixery'.includes(key), `${name} hides ${key}`)
      for (const value of Object.values(others)) assert.ok(!value.includes(key), `${name} hides ${key}`)
    }
  })

  it('starts the program like its image, with the capabilities that the image is tested with', () => {
    const entryPoint = readFileSync(join(deploy, '..', 'packaging', 'entrypoint'), 'utf8')
    for (const [name, service] of programs) {
      assert.deepEqual(service.entrypoint, ['nixery-entrypoint'], name)
      assert.deepEqual([service.cap_drop, service.cap_add], [['ALL'], capabilities], name)
    }
    const [mount = ''] = compose.services['server']?.volumes ?? []
    assert.ok(entryPoint.includes(`NIXERY_DATA:-${mount.split(':')[1]}}`), mount)
    assert.ok(page.includes(`--name ${expand(compose.services['server']?.image ?? '', {})} `))
  })

  it('publishes only ports of the program, on the loopback interface', () => {
    for (const [name, { ports = [] }] of Object.entries(compose.services)) {
      if (!['server', 'front-1', 'front-2'].includes(name)) assert.deepEqual(ports, [], name)
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/)
    }
  })

  it('refers only to services, volumes and variables that exist', () => {
    const volumes = Object.values(compose.services).flatMap((service) => service.volumes ?? [])
    assert.deepEqual(
      new Set(volumes.map((volume) => volume.split(':')[0])),
      new Set(Object.keys(compose.volumes)),
    )
    for (const [name, { environment = {}, depends_on = [] }] of Object.entries(compose.services)) {
      for (const service of depends_on) assert.ok(compose.services[service], service)
      for (const value of Object.values(environment)) {
        const [, host] = /(?:@|http:\/\/)([a-z]+):\d+/.exec(value) ?? []
        if (host !== undefined) assert.ok(depends_on.includes(host), `${name} needs ${host}`)
      }
    }
    const variables = new Set([...text.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name))
    for (const name of variables) assert.ok(page.includes(`\`${name}\``), `docs/compose.md: ${name}`)
  })
})
