import assert from 'node:assert/strict'
import type { LogLine, ServerProcess } from '../../scripts/server.ts'
import { mediaTypes } from '../../src/image/oci.ts'
import type { Client } from '../support/clients/client.ts'
import { requestV2 } from '../support/workspace.ts'

/** Fails with the client's output if the pull fails. */
export async function assertPulls(client: Client, image: string): Promise<void> {
  const { ok, output } = await client.pull(image)
  assert.ok(ok, output)
}

/** The digests of an image: of its index, and of its manifests for this machine's platform. */
export async function digestsOf(server: ServerProcess, name: string): Promise<string[]> {
  const types = [mediaTypes.oci.index, mediaTypes.oci.manifest, mediaTypes.docker.manifest]
  return Promise.all(
    types.map(async (Accept) => {
      const { response } = await requestV2(server, `${name}/manifests/latest`, { headers: { Accept } })
      return response.headers.get('Docker-Content-Digest') ?? ''
    }),
  )
}

/** The digests of an image's layers, in order. */
export async function layersOf(server: ServerProcess, name: string): Promise<string[]> {
  const headers = { Accept: mediaTypes.oci.manifest }
  const { json } = await requestV2(server, `${name}/manifests/latest`, { headers })
  return (json as { layers: { digest: string }[] }).layers.map(({ digest }) => digest)
}

/** The blobs that a server sent, according to lines of its log. */
export function blobsSent(lines: readonly LogLine[]) {
  return lines.flatMap((line) => {
    const path = String(line['path'])
    const digest = /\/blobs\/(sha256:[0-9a-f]{64})$/.exec(path)?.[1]
    const sent = line.msg === 'answered' && line['method'] === 'GET' && digest !== undefined
    return sent ? [{ path, digest, status: Number(line['status']) }] : []
  })
}

/** The statuses of the responses to manifest requests by name. */
export const manifestStatuses = (lines: readonly LogLine[], name: string): number[] =>
  lines
    .filter((line) => line.msg === 'answered' && String(line['path']).startsWith(`/v2/${name}/manifests/`))
    .map((line) => Number(line['status']))
