import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { parsePathInfo } from './facts.ts'

const app = '9gfmnx7zhzsa79q40iakpfifniv2r87j-app-1.0'
const libc = 'lkq5fglm8x1srfm2qp8w21syzqvcik2j-libc-2.36'
const appHash = 'sha256-geWjMI0jyTThgVMAaK4kRgJ5f9nnYz4evrqr/NPW7K0='
const libcHash = 'sha256-jLyV2AqOI7nPYc/WNlswPHCEZFr+VcaIYN4pozIN1DE='

// What the same two paths look like in each version, as printed.
const forms = {
  'Nix 2.8': `[{"path":"/nix/store/${app}","narHash":"${appHash}","narSize":224,"references":["/nix/store/${libc}","/nix/store/${app}"],"deriver":"/nix/store/i9r2py63ddbmb6h6668pkdp0c6d3x2pl-app-1.0.drv","registrationTime":1795238147,"ultimate":true},{"path":"/nix/store/${libc}","narHash":"${libcHash}","narSize":120,"references":[],"deriver":"/nix/store/cfwmhxaxrzwk5lk631yxa3fnwa1w9jyx-libc-2.36.drv","registrationTime":1795238147,"ultimate":true}]`,
  'Nix 2.26': `{"/nix/store/${app}":{"ca":null,"deriver":"/nix/store/i9r2py63ddbmb6h6668pkdp0c6d3x2pl-app-1.0.drv","narHash":"${appHash}","narSize":224,"references":["/nix/store/${app}","/nix/store/${libc}"],"registrationTime":1795238147,"signatures":[],"ultimate":true},"/nix/store/${libc}":{"ca":null,"deriver":"/nix/store/cfwmhxaxrzwk5lk631yxa3fnwa1w9jyx-libc-2.36.drv","narHash":"${libcHash}","narSize":120,"references":[],"registrationTime":1795238147,"signatures":[],"ultimate":true}}`,
  'Nix 2.34, format 1': `{"/nix/store/${app}":{"ca":null,"deriver":"/nix/store/i9r2py63ddbmb6h6668pkdp0c6d3x2pl-app-1.0.drv","narHash":"${appHash}","narSize":224,"references":["/nix/store/${app}","/nix/store/${libc}"],"registrationTime":1795238147,"signatures":[],"storeDir":"/nix/store","ultimate":true,"version":1},"/nix/store/${libc}":{"ca":null,"deriver":"/nix/store/cfwmhxaxrzwk5lk631yxa3fnwa1w9jyx-libc-2.36.drv","narHash":"${libcHash}","narSize":120,"references":[],"registrationTime":1795238147,"signatures":[],"storeDir":"/nix/store","ultimate":true,"version":1}}`,
  'Nix 2.34, format 2': `{"info":{"${app}":{"ca":null,"deriver":"i9r2py63ddbmb6h6668pkdp0c6d3x2pl-app-1.0.drv","narHash":"${appHash}","narSize":224,"references":["${app}","${libc}"],"registrationTime":1795238147,"signatures":[],"storeDir":"/nix/store","ultimate":true,"version":2},"${libc}":{"ca":null,"deriver":"cfwmhxaxrzwk5lk631yxa3fnwa1w9jyx-libc-2.36.drv","narHash":"${libcHash}","narSize":120,"references":[],"registrationTime":1795238147,"signatures":[],"storeDir":"/nix/store","ultimate":true,"version":2}},"storeDir":"/nix/store","version":2}`,
}

describe('parsePathInfo', () => {
  for (const [name, text] of Object.entries(forms)) {
    it(`reads what ${name} prints`, () => {
      assert.deepEqual(parsePathInfo(text), [
        {
          storePath: `/nix/store/${app}`,
          narHash: appHash,
          narSize: 224,
          references: [`/nix/store/${app}`, `/nix/store/${libc}`],
        },
        { storePath: `/nix/store/${libc}`, narHash: libcHash, narSize: 120, references: [] },
      ])
    })
  }

  it('fails for a path that Nix does not know', () => {
    const unknown = [`[{"path":"/nix/store/${app}","valid":false}]`, `{"/nix/store/${app}":null}`]
    for (const text of unknown) {
      assert.throws(
        () => parsePathInfo(text),
        (error) => hasCode(error, 'BUILD_FAILED'),
      )
    }
  })

  it('accepts only hashes in the format used in keys', () => {
    for (const hash of [
      '',
      'sha256:0fwkb3zllrq7mpd1y6b2qmq8qz4wqbwvd6f0mrbzqzmv1r8qlbq4',
      `md5-${appHash}`,
    ]) {
      assert.throws(
        () => parsePathInfo(forms['Nix 2.26'].replace(appHash, hash)),
        (error) => hasCode(error, 'BUILD_FAILED'),
      )
    }
  })
})
