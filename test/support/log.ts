import type { LogLine } from '../../scripts/server.ts'

/** Whether a line reports an error. */
export const isError = ({ level }: LogLine): boolean => level === 'error' || level === 'fatal'
