import type { Config } from '../../config.ts'
import type { Finding } from './finding.ts'
import { failureOf } from './network.ts'

/** Milliseconds to wait for a response of a running server. */
const patience = 10_000

/** Checks whether a server runs here and is ready, and otherwise whether its port is free. */
export async function checkServer({ PORT, NIXERY_HOST, NIXERY_TLS_CERT }: Config): Promise<Finding[]> {
  if (PORT === 0) return []
  const host = ['0.0.0.0', '::'].includes(NIXERY_HOST) ? '127.0.0.1' : NIXERY_HOST
  const failure = await failureOf(host, PORT)
  if (failure !== undefined) return [notRunning(PORT)]
  // Its certificate may be for another name.
  if (NIXERY_TLS_CERT !== undefined) {
    return [{ about: 'server', state: 'ok', message: `something listens on ${host}:${PORT}` }]
  }
  const answer = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${PORT}/readyz`, {
    signal: AbortSignal.timeout(patience),
  }).catch(() => undefined)
  const ready = (await answer?.json().catch(() => undefined)) as
    | { ready?: unknown; checks?: Record<string, string> }
    | undefined
  if (ready?.ready === true)
    return [{ about: 'server', state: 'ok', message: `a server runs on ${host}:${PORT}, and is ready` }]
  if (ready?.ready === false) {
    const failed = Object.entries(ready.checks ?? {}).filter(([, state]) => state !== 'ok')
    if (ready.checks === undefined) {
      const message = `a server runs on ${host}:${PORT}, and is being stopped or drained`
      return [{ about: 'server', state: 'warning', message }]
    }
    return [
      {
        about: 'server',
        state: 'problem',
        message: `a server runs on ${host}:${PORT}, and is not ready: ${failed.map((each) => each.join(' ')).join(', ')}`,
        fix: 'its log has the reason: journalctl -u nixery, or podman logs nixery',
      },
    ]
  }
  return [
    {
      about: 'server',
      state: 'problem',
      message: `port ${PORT} of ${host} is used by another program`,
      fix: `set PORT to another one; ss -ltnp 'sport = :${PORT}' shows the program`,
    },
  ]
}

function notRunning(port: number): Finding {
  const message = `no server runs on port ${port}`
  if (port >= 1024 || process.getuid?.() === 0) return { about: 'server', state: 'ok', message }
  return {
    about: 'server',
    state: 'warning',
    message: `${message}, and ports below 1024 need a privilege`,
    fix: 'AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit (systemctl edit nixery), or another PORT',
  }
}
