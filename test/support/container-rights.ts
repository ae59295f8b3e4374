/** The capabilities that the server's container needs as root; the Helm chart gives it these. */
export const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'SETGID', 'SETUID']
