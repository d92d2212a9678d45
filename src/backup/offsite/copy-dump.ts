import { createHash } from 'node:crypto'
import { decodeCheckedJson } from '../../repository/checked-json.ts'
import { dumpObject } from '../../repository/core/object-names.ts'
import { objectFault } from '../../repository/damage.ts'
import { readStored } from '../../repository/stored-objects.ts'
import { dumpRecordFromJson } from '../dump/core/dump-record.ts'
import { copyObject, type CopyRoute } from './copy-object.ts'
import type { DumpToCopy, ObjectSizes } from './core/plan-copy.ts'

/**
 * Copies a dump: its parts, then the record, which makes it a dump. First all parts are read and compared with the hash
 * in the record, so that nothing of a damaged dump is copied.
 */
export async function copyDump(route: CopyRoute, dump: DumpToCopy, taken: ObjectSizes): Promise<void> {
  const { first, copy, cluster, signal } = route
  const recordBytes = await readStored(first.store, dump.record.key, { signal })
  const { file, fileSha256 } = decodeCheckedJson(dump.record.key, recordBytes, dumpRecordFromJson)
  const name = dumpObject(cluster, file)
  const hashes = new Map<string, string>()
  const whole = createHash('sha256')
  for await (const { key } of first.store.list(name, { signal })) {
    const bytes = await readStored(first.store, key, { signal })
    hashes.set(key, sha256(bytes))
    if (key === name || /\.\d{6}$/.test(key)) whole.update(bytes)
  }
  if (whole.digest('hex') !== fileSha256) {
    throw objectFault(name, 'altered', 'its bytes are not the ones that were dumped')
  }
  for (const { key } of [...dump.parts, dump.record]) {
    const check = (bytes: Uint8Array): void => {
      if (sha256(bytes) !== hashes.get(key)) throw objectFault(key, 'altered', 'it changed while it was read')
    }
    await copyObject(route, { key, kind: 'bulk', check, taken: taken.has(key) })
  }
  // Had the dump expired meanwhile in both places, an expiry may have taken its parts for leftovers.
  for (const key of hashes.keys()) {
    if ((await copy.size(key, { signal })) !== undefined) continue
    await copy.delete(dump.record.key, { signal })
    throw objectFault(key, 'missing', `${copy.description} has lost it again`)
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
