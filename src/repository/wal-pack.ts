import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { objectFault } from './damage.ts'
import type { Keyring } from './keyring.ts'
import { createPackBuilder, type PackOptions } from './pack-builder.ts'
import { openPack } from './pack-reader.ts'

/** WAL is cut into records of this size, so that no single call blocks the archiver for long. */
const walRecordBytes = 4 * 1024 * 1024

/** What of a repository decides how its objects are sealed; plain data, for a thread. */
export interface WalSealing extends Pick<PackOptions, 'compressionLevel'> {
  readonly keyring: Keyring
}

export interface WalPlace {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
}

/** The object for a stretch of WAL. Synchronous, so that a thread can do it. */
export function sealWalPack(
  { keyring, ...options }: WalSealing,
  object: string,
  { timeline, startLsn }: WalPlace,
  bytes: Uint8Array,
): Uint8Array {
  const builder = createPackBuilder(keyring, object, options)
  for (let at = 0; at < bytes.length; at += walRecordBytes) {
    const meta = { timeline, startLsn: (startLsn + BigInt(at)) as Lsn }
    builder.add({ type: 'wal', meta, plain: bytes.subarray(at, at + walRecordBytes) })
  }
  return builder.finish().bytes
}

/** What such an object holds. Throws `repository-object-damaged`, also when it holds anything but records of `type`. */
export function openWalPack(
  keyring: Keyring,
  object: string,
  bytes: Uint8Array,
  type: 'wal' | 'history' | undefined,
): Uint8Array {
  const pack = openPack(keyring, object, bytes)
  if (type !== undefined && pack.records.some((record) => record.type !== type)) {
    throw objectFault(object, 'altered', `it holds records that are not of type ${type}`)
  }
  const whole = Buffer.allocUnsafeSlow(pack.records.reduce((sum, { rawBytes }) => sum + rawBytes, 0))
  let filled = 0
  for (const number of pack.records.keys()) {
    const plain = pack.read(number)
    whole.set(plain, filled)
    filled += plain.length
  }
  return whole
}
