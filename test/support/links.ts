import { execa } from 'execa'
import type { ServerProcess } from '../../scripts/server.ts'
import { ask } from './workspace.ts'

/** Where links of an image lead: `bin/ls` to `coreutils-9.1/bin/ls`, without the store and the hash. */
export async function linksOf(
  server: Pick<ServerProcess, 'address'>,
  name: string,
): Promise<Map<string, string>> {
  const { json, text } = await ask(server, `${name}/manifests/latest`)
  const { layers } = (json ?? {}) as { layers?: { digest: string }[] }
  if (!layers) throw new Error(text)
  const blob = await fetch(`http://${server.address}/v2/${name}/blobs/${layers.at(-1)?.digest}`)
  const { stdout } = await execa('tar', ['-tvz'], { input: Buffer.from(await blob.arrayBuffer()) })
  const links = stdout.matchAll(/ (\S+) -> \/nix\/store\/\w{32}-(\S+)$/gm)
  return new Map([...links].map(([, from = '', to = '']) => [from, to]))
}
