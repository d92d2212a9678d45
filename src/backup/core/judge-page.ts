import type { Lsn } from '../../wal/core/lsn.ts'

/**
 * What a page is whose checksum still fails after it was read again. A page that the server was writing while we read
 * it carries an LSN of the backup's own time, and replay overwrites it with the full image that the server logged
 * (full page writes are forced on during a backup). Any other is damaged: nothing will repair it.
 */
export function judgeSuspect(
  lsn: bigint,
  window: { readonly startLsn: Lsn; readonly stopLsn: Lsn },
): 'torn' | 'corrupt' {
  return lsn >= window.startLsn && lsn <= window.stopLsn ? 'torn' : 'corrupt'
}
