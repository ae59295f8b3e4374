import type { LogLine } from '../../scripts/server.ts'

/** Whether a line tells of something that must not happen. */
export const isError = ({ level }: LogLine): boolean => level === 'error' || level === 'fatal'
