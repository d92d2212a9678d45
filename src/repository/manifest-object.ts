import { sameFacts } from './core/backup-facts.ts'
import type { Commit } from './core/commit.ts'
import { decodeManifest, encodeManifest, type Manifest } from './core/manifest.ts'
import { decodeObject, objectFault } from './damage.ts'
import { manifestObject } from './core/object-names.ts'
import type { Keyring } from './keyring.ts'
import { createPackBuilder, type FinishedPack } from './pack-builder.ts'
import { openPack, type OpenPack } from './pack-reader.ts'

const recordBytes = 1024 * 1024

/** Seals a manifest, in records of about 1 MiB. */
export function sealManifest(keyring: Keyring, manifest: Manifest): FinishedPack {
  const builder = createPackBuilder(keyring, manifestObject(manifest.facts.cluster, manifest.facts.backup))
  let waiting: string[] = []
  let [waitingLength, offset] = [0, 0]
  const flush = (): void => {
    const bytes = Buffer.from(waiting.join(''))
    for (let at = 0; at < bytes.length; at += recordBytes) {
      builder.add({ type: 'manifest', meta: { offset: offset + at }, plain: bytes.subarray(at, at + recordBytes) })
    }
    offset += bytes.length
    waiting = []
    waitingLength = 0
  }
  for (const line of encodeManifest(manifest)) {
    waiting.push(line)
    waitingLength += line.length
    if (waitingLength >= recordBytes) flush()
  }
  flush()
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

/** Lines may go on from one record to the next. */
function* linesOf(pack: OpenPack): Generator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let begun = ''
  for (const number of pack.records.keys()) {
    const lines = (begun + decoder.decode(pack.read(number), { stream: true })).split('\n')
    begun = lines.pop() ?? ''
    yield* lines
  }
  if (begun !== '') yield begun
}
