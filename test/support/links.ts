import { gunzipSync } from 'node:zlib'
import { execa } from 'execa'
import type { ServerProcess } from '../../scripts/server.ts'
import { requestV2 } from './workspace.ts'

/** The last layer of an image, unpacked: a tar archive. */
export async function lastLayerOf(
  server: Pick<ServerProcess, 'address'>,
  name: string,
  tag = 'latest',
): Promise<Buffer> {
  const { json, text } = await requestV2(server, `${name}/manifests/${tag}`)
  const { layers } = (json ?? {}) as { layers?: { digest: string }[] }
  if (!layers) throw new Error(text)
  const blob = await fetch(`http://${server.address}/v2/${name}/blobs/${layers.at(-1)?.digest}`)
  return gunzipSync(Buffer.from(await blob.arrayBuffer()))
}

/** The links of an image and their targets without store folder and hash: `usr/bin/ls` → `coreutils-9.1/bin/ls`. */
export async function linksOf(
  server: Pick<ServerProcess, 'address'>,
  name: string,
): Promise<Map<string, string>> {
  const { stdout } = await execa('tar', ['-tv'], { input: await lastLayerOf(server, name) })
  const links = stdout.matchAll(/ (\S+) -> \/nix\/store\/\w{32}-(\S+)$/gm)
  return new Map([...links].map(([, from = '', to = '']) => [from, to]))
}
