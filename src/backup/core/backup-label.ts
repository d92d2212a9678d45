import { type Lsn, parseLsn, type TimelineId } from '../../wal/core/lsn.ts'

/** What `pg_backup_stop` wrote into the `backup_label` that recovery will start from. */
export interface BackupLabel {
  /** Redo point of the checkpoint that the backup begins with; replay starts here. */
  readonly startLsn: Lsn
  readonly timeline: TimelineId
  readonly from: 'primary' | 'standby'
}

/** Reads a label (`build_backup_content`, `src/backend/access/transam/xlogbackup.c`); undefined when it is none. */
export function parseBackupLabel(text: string): BackupLabel | undefined {
  const startLsn = parseLsn(/^START WAL LOCATION: (\S+) \(file [0-9A-F]{24}\)$/m.exec(text)?.[1] ?? '')
  const timeline = Number(/^START TIMELINE: (\d+)$/m.exec(text)?.[1])
  const from = /^BACKUP FROM: (primary|standby)$/m.exec(text)?.[1]
  if (startLsn === undefined || !(timeline >= 1) || (from !== 'primary' && from !== 'standby')) return undefined
  return { startLsn, timeline: timeline as TimelineId, from }
}
