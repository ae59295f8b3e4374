import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isLasting } from './lasting.ts'

describe('isLasting', () => {
  const rows: [message: string, thrown: boolean, lasting: boolean][] = [
    ['error: Package ‘a-1’ in x.nix:1 is marked as broken, refusing to evaluate.', true, true],
    ['error: first line\nsecond line', true, true],
    ["error: assertion '(1 == 2)' failed", true, true],
    ["error: attribute 'foo' missing\nat /x/default.nix:3:5:", false, true],
    ["error: undefined variable 'x'", false, true],
    ['error: infinite recursion encountered', false, true],
    ['error: stack overflow (possible infinite recursion)', false, true],
    ['error: cannot add a string to an integer', false, true],
    ['error: value is a string while a set was expected', false, true],
    ['error: expected a set but found a string: "x"', false, true],
    ["error: evaluation aborted with the following error message: 'for good'", false, true],
    ["error: syntax error, unexpected ')'", false, true],
    ["error: unable to download 'https://example.org/x': Couldn't resolve host name (6)", false, false],
    ["error: unable to download 'https://example.org/x': HTTP error 404", true, false],
    ["error: getting status of '/x/y': No such file or directory", false, false],
    ["error: getting status of '/set/y': No such file or directory", false, true],
    ["error: opening file '/set/y': No such file or directory", false, true],
    ["error: path '/set/y.nix' does not exist", false, true],
    ["error: path '/setting/y.nix' does not exist", false, false],
    ['error: nix-instantiate was ended by SIGKILL', false, false],
    ["error: undefined variable 'x'\nerror: nix-instantiate was ended by SIGKILL", false, false],
    ["error: builder for '/nix/store/x.drv' failed with exit code 1", false, false],
    [
      "error: undefined variable, says the builder\nerror: builder for '/nix/store/x.drv' failed",
      false,
      false,
    ],
    ["error: Cannot build '/nix/store/x.drv'.", false, false],
    ['error: cannot allocate memory', false, false],
    ['error: interrupted by the user', false, false],
    ['Nix gave no reason', false, false],
    ['error: something that no version has said so far', false, false],
  ]
  for (const [message, thrown, lasting] of rows) {
    it(`says ${lasting ? 'yes' : 'no'} to ${message.slice(0, 70)}${thrown ? ', thrown' : ''}`, () => {
      assert.equal(isLasting(message, thrown, '/set'), lasting)
    })
  }
})
