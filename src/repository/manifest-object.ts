import { sameFacts } from './core/backup-facts.ts'
import type { Commit } from './core/commit.ts'
import { decodeManifest, encodeManifest, type Manifest } from './core/manifest.ts'
import { decodeObject, objectFault } from './damage.ts'
import { manifestObject } from './core/object-names.ts'
import type { Keyring } from './keyring.ts'
import { createPackBuilder, type FinishedPack } from './pack-builder.ts'
import { openPack, type OpenPack } from './pack-reader.ts'

const chunkBytes = 1024 * 1024

/** Seals a manifest: records of whole lines, about 1 MiB each. */
export function sealManifest(keyring: Keyring, manifest: Manifest): FinishedPack {
  const builder = createPackBuilder(keyring, manifestObject(manifest.facts.cluster, manifest.facts.backup))
  let lines: string[] = []
  let [firstLine, length] = [0, 0]
  const flush = (): void => {
    builder.add({ type: 'manifest', meta: { firstLine }, plain: Buffer.from(lines.join('')) })
    firstLine += lines.length
    lines = []
    length = 0
  }
  for (const line of encodeManifest(manifest)) {
    lines.push(line)
    length += line.length
    if (length >= chunkBytes) flush()
  }
  if (lines.length > 0) flush()
  return builder.finish()
}

/** Opens the manifest of a commit; throws `repository-object-damaged` unless it is the one committed, fact by fact. */
export function unsealManifest(keyring: Keyring, commit: Commit, bytes: Uint8Array): Manifest {
  const object = commit.manifest.key
  const pack = openPack(keyring, object, bytes, commit.manifest)
  const manifest = decodeObject(object, () => decodeManifest(linesOf(pack)))
  if (sameFacts(manifest.facts, commit.facts)) return manifest
  throw objectFault(object, 'altered', 'its facts are not those of the commit object beside it')
}

function* linesOf(pack: OpenPack): Generator<string> {
  for (const number of pack.records.keys()) {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(pack.read(number))
    for (const line of text.split('\n')) if (line !== '') yield line
  }
}
