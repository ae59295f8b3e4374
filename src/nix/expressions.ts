import { readFileSync } from 'node:fs'

/**
 * This program's Nix expressions, each as one text, since a restricted evaluation cannot read the program's files. The
 * files in this folder can also be used directly.
 */
const textOf = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')

const lookup = textOf('lookup.nix')
const withLookup = (name: string): string => textOf(name).replace('import ./lookup.nix', () => `(${lookup})`)

/** For one request: see evaluate.nix. */
export const evaluateExpression: string = withLookup('evaluate.nix')

/** For many: see evaluator.nix. */
export const evaluatorExpression: string = withLookup('evaluator.nix')
