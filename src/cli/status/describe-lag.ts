import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { CopyLag } from './core/status-report.ts'

/** `WAL 4 s behind, 2 backups and 1.2 GB missing`, or that all is there. */
export function describeLag(lag: CopyLag | null): string {
  if (lag === null) return '?'
  const { walMs, allMs, bytes, backups } = lag
  if (allMs === 0) return 'everything is there'
  const wal =
    walMs === 0 ? 'WAL is there' : walMs === null ? 'WAL was never complete' : `WAL ${describeElapsed(walMs)} behind`
  if (bytes === null || backups === null) return wal
  const missing = backups === 0 ? '' : `${backups} ${backups === 1 ? 'backup' : 'backups'} and `
  return `${wal}, ${missing}${describeBytes(bytes)} missing`
}
