import { createHash } from 'node:crypto'
import { decodeCheckedJson } from '../../repository/checked-json.ts'
import {
  clusterObject,
  gapsPrefix,
  repositoryObject,
  tailsPrefix,
  walPrefix,
} from '../../repository/core/object-names.ts'
import { objectFault } from '../../repository/damage.ts'
import type { Keyring } from '../../repository/keyring.ts'
import { openPack, type ObjectSeal } from '../../repository/pack-reader.ts'

/**
 * Throws `repository-object-damaged` unless the bytes are what belongs under the key, as far as that can be told
 * without reading anything else: WAL opens under its name, JSON fits its own hash. A damaged object is never copied,
 * since it could not be replaced by the good one afterwards.
 */
export function checkObject(keyring: Keyring, cluster: string, key: string, bytes: Uint8Array): void {
  if (key.startsWith(walPrefix(cluster)) || key.startsWith(tailsPrefix(cluster))) openPack(keyring, key, bytes)
  else if (isCheckedJson(cluster, key)) decodeCheckedJson(key, bytes, () => undefined)
  else if (bytes.length === 0) throw objectFault(key, 'truncated', 'it is empty')
}

function isCheckedJson(cluster: string, key: string): boolean {
  return key === clusterObject(cluster) || key === repositoryObject || key.startsWith(gapsPrefix(cluster))
}

/** Throws `repository-object-damaged` unless the bytes have the hash that a commit says. */
export function checkSeal(key: string, bytes: Uint8Array, expected: ObjectSeal): void {
  if (bytes.length < expected.sizeBytes) throw objectFault(key, 'truncated', 'it does not have all of its bytes')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  if (sha256 === expected.sha256) return
  throw objectFault(key, 'altered', 'its bytes are not the ones that were committed')
}

/** True when two objects of WAL hold the same WAL; each is sealed with a salt of its own. */
export function isSameWal(keyring: Keyring, key: string, a: Uint8Array, b: Uint8Array): boolean {
  const content = (bytes: Uint8Array): Uint8Array => {
    const pack = openPack(keyring, key, bytes)
    return Buffer.concat(pack.records.map((_, number) => pack.read(number)))
  }
  return Buffer.compare(content(a), content(b)) === 0
}
