import { NixeryError } from '../errors.ts'

/** The error for clients that may not build, for every missing image: the same whether it could be built or not. */
export const notReady = () => new NixeryError('NOT_READY', 'not ready here, and you may not build')
