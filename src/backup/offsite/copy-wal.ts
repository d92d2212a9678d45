import type { BackupFacts } from '../../repository/core/backup-facts.ts'
import {
  historyObject,
  parseTailName,
  segmentNameAt,
  segmentObject,
  tailObject,
  tailsPrefix,
  type TailName,
} from '../../repository/core/object-names.ts'
import { isFault } from '../../std/fault.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { checkObject } from './check-object.ts'
import { copyObject, type CopyRoute } from './copy-object.ts'

/**
 * Copies one object of WAL. `gone`: the first repository does not have it any more, which is how it is with a tail whose
 * segment came, and with WAL that expired.
 */
export async function copyWalObject(
  route: CopyRoute,
  object: { readonly key: string; readonly taken?: boolean },
): Promise<'copied' | 'present' | 'gone'> {
  const { first, cluster } = route
  try {
    const check = (bytes: Uint8Array): void => checkObject(first.keyring, cluster, object.key, bytes)
    return await copyObject(route, { ...object, kind: 'wal', check })
  } catch (error) {
    if (isFault(error, repositoryFaults['repository-object-missing']) && error.details['object'] === object.key) {
      return 'gone'
    }
    throw error
  }
}

/** Copies the WAL that a backup needs, and the history of its timeline, where the copy does not have them. */
export async function copyWalRange(
  route: CopyRoute,
  { timeline, startLsn, stopLsn, walSegmentBytes }: BackupFacts,
): Promise<void> {
  const { first, copy, cluster, signal } = route
  const keys: string[] = timeline > 1 ? [historyObject(cluster, timeline)] : []
  const size = BigInt(walSegmentBytes)
  const end = stopLsn > startLsn ? stopLsn : startLsn + 1n
  const tails = await listTails(route)
  for (let at = startLsn - (startLsn % size); at < end; at += size) {
    const segment = segmentObject(cluster, segmentNameAt(timeline, at as Lsn, walSegmentBytes))
    if ((await copy.size(segment, { signal })) !== undefined) continue
    if ((await first.store.size(segment, { signal })) !== undefined) keys.push(segment)
    else {
      const parts = tails.filter((tail) => tail.timeline === timeline && isWithin(tail.startLsn, at, size))
      // Where the segment came since we looked for tails, those are gone, and the segment is there.
      keys.push(...parts.map((tail) => tailObject(cluster, tail)), segment)
    }
  }
  for (const key of keys) {
    if ((await copy.size(key, { signal })) === undefined) await copyWalObject(route, { key })
  }
}

function isWithin(lsn: bigint, start: bigint, length: bigint): boolean {
  return lsn >= start && lsn < start + length
}

async function listTails({ first, cluster, signal }: CopyRoute): Promise<readonly TailName[]> {
  const prefix = tailsPrefix(cluster)
  const tails: TailName[] = []
  for await (const { key } of first.store.list(prefix, { signal })) {
    const tail = parseTailName(key.slice(prefix.length))
    if (tail !== undefined) tails.push(tail)
  }
  return tails
}
