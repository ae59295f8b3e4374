import { NixeryError } from '../errors.ts'

/** The error of requests that the process no longer serves. */
export const stopping = () => new NixeryError('CANCELLED', 'the registry is stopping')

/** @param build the id of the build, if it has started */
export const stillBuilding = (build: string | undefined) =>
  new NixeryError('STILL_BUILDING', 'the image is still being built', {
    hint: 'pull again in a moment; the build continues',
    detail: { build },
  })
