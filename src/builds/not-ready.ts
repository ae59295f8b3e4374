import { NixeryError } from '../errors.ts'

/** What those are told who may not build, of all that is not there: the same whether it could be built or not. */
export const notReady = () => new NixeryError('NOT_READY', 'not ready here, and you may not build')
