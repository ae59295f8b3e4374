import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { unknownVariables } from './unknown.ts'

const known = [
  'PORT',
  'STORAGE_PATH',
  'NIXERY_HOST',
  'NIXERY_ALLOW',
  'NIXERY_DENY',
  'NIXERY_ALLOW_UNFREE',
  'NIXERY_CHANNEL',
  'NIXERY_DATA',
  'S3_BUCKET',
]

describe('unknownVariables', () => {
  const warned: [environment: Record<string, string>, line: string][] = [
    [{ NIXERY_CHANEL: 'x' }, 'NIXERY_CHANEL: no such setting; did you mean NIXERY_CHANNEL?'],
    [{ NIXERY_CHANNLE: 'x' }, 'NIXERY_CHANNLE: no such setting; did you mean NIXERY_CHANNEL?'],
    [{ NIXERY_PORT: '8080' }, 'NIXERY_PORT: no such setting; did you mean PORT?'],
    [{ NIXERY_STORAGE_PATH: '/x' }, 'NIXERY_STORAGE_PATH: no such setting; did you mean STORAGE_PATH?'],
    [{ NIXERY_FOO: 'x' }, 'NIXERY_FOO: no such setting'],
    [{ S3_BUKCET: 'x' }, 'S3_BUKCET: no such setting; did you mean S3_BUCKET?'],
    [{ GCS_SOMETHING_ELSE: 'x' }, 'GCS_SOMETHING_ELSE: no such setting'],
    [
      { NIXERY_ALLOW_UNFREEE: 'x' },
      'NIXERY_ALLOW_UNFREEE: no such setting; did you mean NIXERY_ALLOW_UNFREE?',
    ],
  ]
  for (const [environment, line] of warned) {
    it(`warns: ${line}`, () => {
      assert.deepEqual(unknownVariables(environment, known), { refused: [], warnings: [line] })
    })
  }

  const refused: [name: string, message: RegExp][] = [
    ['NIXERY_ALOW', /did you mean NIXERY_ALLOW,/],
    ['NIXERY_ALLOWS', /did you mean NIXERY_ALLOW,/],
    ['NIXERY_DENIE', /did you mean NIXERY_DENY,/],
    ['NIXERY_DNEY', /did you mean NIXERY_DENY,/],
    ['NIXERY_AUTH', /this version does not know this setting/],
    ['NIXERY_HTPASWD', /this version does not know this setting/],
    ['NIXERY_POLICIY', /this version does not know this setting/],
  ]
  for (const [name, message] of refused) {
    it(`refuses ${name}, which would not protect what it was meant to`, () => {
      const found = unknownVariables({ [name]: 'x' }, known)
      assert.deepEqual(found.warnings, [])
      assert.equal(found.refused.length, 1)
      assert.match(found.refused[0] ?? '', message)
    })
  }

  it('ignores known and foreign variables, and those set by Kubernetes and the entry point', () => {
    const environment = {
      NIXERY_ALLOW: 'git',
      NIXPKGS_ALLOW_UNFREE: '1',
      HOME: '/',
      NIXERY_SANDBOX: 'true',
      NIXERY_PRELAUNCH: '/x',
      NIXERY_SERVICE_HOST: '10.0.0.1',
      NIXERY_SERVICE_PORT: '8080',
      NIXERY_SERVICE_PORT_HTTP: '8080',
      NIXERY_PORT: 'tcp://10.0.0.1:8080',
      NIXERY_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
      NIXERY_PORT_8080_TCP_PROTO: 'tcp',
      NIXERY_PORT_8080_TCP_ADDR: '10.0.0.1',
      NIXERY_DENY_SERVICE_HOST: '10.0.0.1',
      S3_GATEWAY_PORT_443_UDP_PORT: '443',
    }
    assert.deepEqual(unknownVariables(environment, known), { refused: [], warnings: [] })
  })

  it('warns about a variable that only looks like one set by Kubernetes', () => {
    assert.equal(unknownVariables({ NIXERY_PORT: '8080' }, known).warnings.length, 1)
  })
})
