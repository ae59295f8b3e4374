/** The capabilities that the server's container needs as root. The Helm chart grants the same ones. */
export const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'SETGID', 'SETUID']
