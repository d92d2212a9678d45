import { sameFacts } from './core/backup-facts.ts'
import type { Commit } from './core/commit.ts'
import {
  decodeManifestFiles,
  decodeManifestHead,
  encodeManifestHead,
  type ManifestFile,
  type ManifestHead,
} from './core/manifest.ts'
import { decodeObject, objectFault } from './damage.ts'
import { manifestObject } from './core/object-names.ts'
import type { Keyring } from './keyring.ts'
import { type ManifestLines, manifestRecordBytes } from './manifest-lines.ts'
import { createPackBuilder, type FinishedPack } from './pack-builder.ts'
import { openPack, type OpenPack } from './pack-reader.ts'

/** Seals a manifest, in records of about 1 MiB. */
export function sealManifest(keyring: Keyring, head: ManifestHead, lines: ManifestLines): FinishedPack {
  const builder = createPackBuilder(keyring, manifestObject(head.facts.cluster, head.facts.backup))
  let offset = 0
  const first = Buffer.from(encodeManifestHead(head))
  for (; offset < first.length; offset += manifestRecordBytes) {
    builder.add({ type: 'manifest', meta: { offset }, plain: first.subarray(offset, offset + manifestRecordBytes) })
  }
  offset = first.length
  for (const content of lines.chunks()) {
    builder.addCompressed({ type: 'manifest', meta: { offset } }, content)
    offset += content.rawBytes
  }
  return builder.finish()
}

/** A manifest whose hash, authenticity and facts are proven; its files are read one after the other. */
export interface ManifestReader extends ManifestHead {
  /**
   * The files from the first on, each time it is called; at most about 1 MiB of the manifest is unpacked at a time.
   * Throws `repository-object-damaged` where a line is not as it must be, and at the end when lines are missing.
   */
  readonly files: () => Iterable<ManifestFile>
}

/** Opens the manifest of a commit; throws `repository-object-damaged` unless it is the one committed, fact by fact. */
export function openManifest(keyring: Keyring, commit: Commit, bytes: Uint8Array): ManifestReader {
  const object = commit.manifest.key
  const pack = openPack(keyring, object, bytes, commit.manifest)
  const head = decodeObject(object, () => decodeManifestHead(linesOf(pack).next().value))
  if (!sameFacts(head.facts, commit.facts)) {
    throw objectFault(object, 'altered', 'its facts are not those of the commit object beside it')
  }
  return { ...head, files: () => filesOf(object, pack, head) }
}

function* filesOf(object: string, pack: OpenPack, { facts }: ManifestHead): Generator<ManifestFile> {
  const lines = linesOf(pack)
  lines.next()
  const files = decodeManifestFiles(lines, facts)
  for (;;) {
    const next = decodeObject(object, () => files.next())
    if (next.done === true) return
    yield next.value
  }
}

/** Lines may go on from one record to the next. */
function* linesOf(pack: OpenPack): Generator<string, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let begun = ''
  for (const number of pack.records.keys()) {
    const lines = (begun + decoder.decode(pack.readBriefly(number), { stream: true })).split('\n')
    begun = lines.pop() ?? ''
    yield* lines
  }
  if (begun !== '') yield begun
  return undefined
}
